//! What the log tells of each item, by its level.

use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind, Integrity};
use datasync_model::{LogLevel, PreserveDeletedFiles, TaskMode, VerifyMode};
use datasync_transfer::{LogEntry, LogSink};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::world::{World, store};

fn tree() -> Tree {
    let mut tree = Tree::new()
        .file("a", "1")
        .file("bad", "2")
        .file("gone", "3");
    tree.add("p", EntryKind::Fifo, "");
    tree
}

/// A world with a log, one unreadable file and one that a run has copied and that is gone.
async fn world(level: LogLevel, mode: TaskMode) -> (World, mpsc::Receiver<LogEntry>) {
    let mut world = World::of(MemorySource::new(tree()), store(Integrity::Crc64));
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.run_well().await;
    world.source.edit(|tree| {
        tree.remove("gone");
        tree.write("a", "11");
        tree.write("bad", "22");
    });
    let denied = Action::Fail(ErrorKind::PermissionDenied);
    world.at_source(Fault::new(Operation::Read, denied).at("/bad"));
    world.spec.task_mode = mode;
    world.options().log_level = level;
    let (sink, lines) = LogSink::new();
    world.settings.log = Some(sink);
    (world, lines)
}

fn taken(mut lines: mpsc::Receiver<LogEntry>) -> Vec<String> {
    let mut found = Vec::new();
    while let Ok(line) = lines.try_recv() {
        found.push(format!("{} {}", line.severity, line.text));
    }
    found.sort();
    found
}

#[tokio::test(start_paused = true)]
async fn each_level_tells_what_it_should() {
    for level in [LogLevel::Off, LogLevel::Basic, LogLevel::Transfer] {
        let (world, lines) = world(level, TaskMode::Basic).await;
        let run = world.run().await;
        assert_eq!(run.report.counters.failed, 1);
        let lines = taken(lines);
        let count = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
        let bad = count("ERROR Failed to transfer file /bad: SourcePermissionDenied: ");
        let items = [
            count("INFO Deleted file /gone"),
            count("INFO Transferred file /a, 2 bytes"),
            count("INFO Verified file /a, 2 bytes"),
            count("NOTICE Skipped file /p: "),
        ];
        match level {
            LogLevel::Off => assert_eq!(lines.len(), 0, "{lines:#?}"),
            LogLevel::Basic => assert_eq!((bad, lines.len()), (1, 1), "{lines:#?}"),
            LogLevel::Transfer => assert_eq!((bad, items), (1, [1; 4]), "{lines:#?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_end_check_finds_is_told_in_enhanced_mode_as_json() {
    let mut world = World::of(MemorySource::new(tree()), store(Integrity::Crc64));
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    world.options().log_level = LogLevel::Transfer;
    world.spec.task_mode = TaskMode::Enhanced;
    let (sink, lines) = LogSink::new();
    world.settings.log = Some(sink);
    world.run_well().await;
    let lines: Vec<Value> = taken(lines)
        .iter()
        .map(|line| serde_json::from_str(line.split_once(' ').unwrap().1).unwrap())
        .collect();
    let count = |action: &str, path: &str| {
        let fits =
            |line: &&Value| line["Action"] == action && line["Source"]["RelativePath"] == path;
        lines.iter().filter(fits).count()
    };
    for path in ["/a", "/bad", "/gone"] {
        assert_eq!(
            (count("TRANSFER", path), count("VERIFY", path)),
            (1, 1),
            "{lines:#?}"
        );
    }
    assert_eq!(count("SKIP", "/p"), 1);
}
