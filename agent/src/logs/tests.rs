use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use datasync_model::Severity;
use datasync_proto::{LogKept, LogLines};
use tokio::task::JoinSet;

use super::*;
use crate::executions::tests as executions;

fn spec(number: u8) -> ExecutionSpec {
    let mut spec = executions::spec(number);
    spec.options.log_level = LogLevel::Transfer;
    spec
}

/// Writes lines with these texts, and with an end if there is one.
async fn write(logs: &Logs, number: u8, texts: &[&str], end: Option<&str>) {
    let (sink, writer) = logs.begin(&spec(number)).await.unwrap();
    for text in texts {
        sink.tell(Severity::Info, (*text).to_owned());
    }
    drop(sink);
    let writer = writer.run().await.unwrap();
    if let Some(end) = end {
        writer.close(Severity::Info, end.to_owned()).await;
    }
}

fn wanted(logs: &Logs) -> Courier {
    Courier::new(logs, &["keep-logs".to_owned()])
}

async fn next(courier: &mut Courier) -> LogLines {
    let next = tokio::time::timeout(Duration::from_secs(90), courier.next());
    next.await.expect("there are lines to send")
}

fn texts(part: &LogLines) -> Vec<&str> {
    part.lines.iter().map(|line| line.text.as_str()).collect()
}

fn kept(part: &LogLines) -> LogKept {
    LogKept {
        log_id: part.log_id.clone(),
        next: part.first + part.lines.len() as u64,
    }
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[tokio::test(start_paused = true)]
async fn lines_are_sent_until_control_has_them_and_then_the_file_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    let (sink, writer) = logs.begin(&spec(1)).await.unwrap();
    let mut writing = JoinSet::new();
    writing.spawn(writer.run());
    sink.tell(Severity::Info, "a".to_owned());
    sink.tell(Severity::Info, "b".to_owned());
    let mut courier = wanted(&logs);
    let first = next(&mut courier).await;
    assert_eq!((first.first, texts(&first)), (0, vec!["a", "b"]));
    let again = next(&mut courier).await;
    assert_eq!(again, first, "nobody answered");
    courier.kept(&kept(&again));
    sink.tell(Severity::Info, "c".to_owned());
    drop(sink);
    let writer = writing.join_next().await.unwrap().unwrap().unwrap();
    writer.close(Severity::Info, "the end".to_owned()).await;
    let second = next(&mut courier).await;
    assert_eq!((second.first, texts(&second)), (2, vec!["c", "the end"]));
    assert_eq!(second.log_id, first.log_id);
    assert_eq!(files(scratch.path()), 1);
    courier.kept(&kept(&second));
    assert_eq!(files(scratch.path()), 0);
    let idle = tokio::time::timeout(Duration::from_secs(90), courier.next());
    assert!(idle.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_control_says_where_to_go_on() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    write(&logs, 1, &["a", "b", "c"], None).await;
    let path = logs.0.logs().values().next().unwrap().path.clone();
    drop(logs);
    let torn = [std::fs::read(&path).unwrap(), b"{\"at\":1,".to_vec()].concat();
    std::fs::write(&path, torn).unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    write(&logs, 1, &["d"], Some("the end")).await;
    let mut courier = wanted(&logs);
    let part = next(&mut courier).await;
    assert_eq!(texts(&part), ["a", "b", "c", "d", "the end"]);
    let known = LogKept {
        next: 3,
        ..kept(&part)
    };
    courier.kept(&known);
    let rest = next(&mut courier).await;
    assert_eq!((rest.first, texts(&rest)), (3, vec!["d", "the end"]));
}

/// Beside a log, its length when it was last made durable.
fn durable(path: &Path) -> PathBuf {
    path.with_extension("durable")
}

/// A disk of which a power cut leaves what it was told to make durable.
fn noting(file: &File) -> io::Result<()> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    std::fs::write(durable(&path), file.metadata()?.len().to_string())
}

#[tokio::test]
async fn a_line_that_control_has_outlives_a_power_cut_and_no_other_gets_its_number() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume_with(scratch.path().to_owned(), noting);
    let (sink, writer) = logs.begin(&spec(1)).await.unwrap();
    let mut writing = JoinSet::new();
    writing.spawn(writer.run());
    let mut courier = wanted(&logs);
    let mut log_id = String::new();
    for text in ["a", "b"] {
        sink.tell(Severity::Info, text.to_owned());
        let sent = next(&mut courier).await;
        assert_eq!(texts(&sent), [text]);
        courier.kept(&kept(&sent));
        log_id = sent.log_id;
    }
    sink.tell(Severity::Info, "lost".to_owned());
    let path = logs.0.logs().values().next().unwrap().path.clone();
    while !std::fs::read_to_string(&path).unwrap().contains("lost") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    writing.shutdown().await;
    drop((courier, logs));
    let length = std::fs::read_to_string(durable(&path)).unwrap();
    let log = File::options().write(true).open(&path).unwrap();
    log.set_len(length.parse().unwrap()).unwrap();
    std::fs::remove_file(durable(&path)).unwrap();
    let logs = Logs::resume_with(scratch.path().to_owned(), noting);
    write(&logs, 1, &["c"], None).await;
    let again = next(&mut wanted(&logs)).await;
    assert_eq!(again.log_id, log_id);
    assert_eq!((again.first, texts(&again)), (0, vec!["a", "b", "c"]));
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_does_not_keep_is_not_sent() {
    let scratch = tempfile::tempdir().unwrap();
    let refuse = |_: &File| Err(io::Error::other("no"));
    let logs = Logs::resume_with(scratch.path().to_owned(), refuse);
    write(&logs, 1, &["a"], Some("the end")).await;
    let mut courier = wanted(&logs);
    let sent = tokio::time::timeout(Duration::from_secs(90), courier.next());
    assert!(sent.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_log_whose_writer_is_gone_is_sent_and_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    // As where the execution panics.
    write(&logs, 1, &["a"], None).await;
    let mut courier = wanted(&logs);
    let part = next(&mut courier).await;
    courier.kept(&kept(&part));
    assert_eq!(files(scratch.path()), 0);
}

#[tokio::test(start_paused = true)]
async fn an_older_control_is_sent_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    write(&logs, 1, &["a"], Some("the end")).await;
    let mut courier = Courier::new(&logs, &["countersign-reports".to_owned()]);
    let sent = tokio::time::timeout(Duration::from_secs(90), courier.next());
    assert!(sent.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn executions_take_turns() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    let many: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for number in [1, 2] {
        write(&logs, number, &many, Some("the end")).await;
    }
    let mut courier = wanted(&logs);
    let mut parts = Vec::new();
    for _ in 0..4 {
        let part = next(&mut courier).await;
        courier.kept(&kept(&part));
        parts.push((part.execution_arn.chars().last(), part.lines.len()));
    }
    assert_eq!(parts[0].1, 1000);
    assert_eq!((parts[0], parts[1]).0.0, parts[2].0);
    assert_ne!(parts[0].0, parts[1].0);
    assert_eq!(parts[2].1, 501);
    assert_eq!(files(scratch.path()), 0);
}

#[tokio::test]
async fn the_log_says_how_many_lines_it_lacks() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    let (sink, writer) = logs.begin(&spec(1)).await.unwrap();
    // Nobody takes them meanwhile.
    for _ in 0..3000 {
        sink.tell(Severity::Info, "x".to_owned());
    }
    drop(sink);
    let writer = writer.run().await.unwrap();
    writer.close(Severity::Error, "the end".to_owned()).await;
    let (_, kept) = logs.next_log(None).unwrap();
    let at = Place::Line(kept.lines - 2);
    let last = file::read(&kept.path, at, kept.lines, File::sync_data);
    let last = last.await.unwrap().lines;
    assert!(
        last[0].text.starts_with("952 lines were left out"),
        "{last:?}"
    );
    assert_eq!(last[1].to_string(), "[ERROR] the end");
    logs.discard();
    assert_eq!(files(scratch.path()), 0);
}

#[tokio::test]
async fn no_log_is_begun_without_a_level() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    assert!(logs.begin(&executions::spec(1)).await.is_none());
    assert_eq!(files(scratch.path()), 0);
}

#[tokio::test]
async fn logs_that_control_does_not_take_are_bounded_in_number() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    for number in 0..u8::try_from(WAITING_MAX).unwrap() + 3 {
        let (_, writer) = logs.begin(&spec(number)).await.unwrap();
        writer.close(Severity::Info, "the end".to_owned()).await;
    }
    assert_eq!(files(scratch.path()), WAITING_MAX);
    assert_eq!(
        Logs::resume(scratch.path().to_owned()).0.logs().len(),
        WAITING_MAX
    );
}

/// Opening a pipe waits for its reader, as a disk that hangs would.
#[tokio::test]
async fn a_disk_that_hangs_holds_up_nobody_who_asks_for_other_logs() {
    let scratch = tempfile::tempdir().unwrap();
    let logs = Logs::resume(scratch.path().to_owned());
    write(&logs, 2, &["a"], None).await;
    let id = spec(1).execution.id().to_owned();
    let pipe = scratch.path().join(format!("{id}.jsonl"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let (asked, is_asked) = mpsc::channel();
    let reader = std::thread::Builder::new().spawn(move || {
        let in_time = is_asked.recv_timeout(Duration::from_secs(30)).is_ok();
        File::open(pipe).unwrap();
        in_time
    });
    let spec = spec(1);
    let begun = logs.begin(&spec);
    let others = async {
        tokio::task::yield_now().await;
        assert!(logs.next_log(None).is_some());
        asked.send(()).ok();
    };
    tokio::join!(begun, others);
    assert!(reader.unwrap().join().unwrap(), "it waited for the disk");
}
