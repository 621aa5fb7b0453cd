//! The one task that writes the journal's files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::beside::{Beside, BesideFile};
use super::{JournalError, Message, QUEUE, Record, Reply, State, read_frames, write_frame};
use crate::report::REPORT_FILE;

/// How long an appended record may stay in the process.
const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// How long an appended record may stay in the page cache.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// A journal that has more than this beside its first snapshot is replaced, in bytes.
const ROTATE_AT: u64 = 16 * 1024 * 1024;

pub(super) const JOURNAL_FILE: &str = "journal";
const NEXT_FILE: &str = "journal.next";

fn fault(directory: &Path, verb: &'static str, error: &io::Error) -> JournalError {
    JournalError {
        directory: directory.to_owned(),
        verb,
        reason: error.to_string(),
    }
}

/// The state that the journal in `directory` leads to.
pub(crate) async fn replay(directory: &Path) -> Result<State, JournalError> {
    let bytes = match fs::read(directory.join(JOURNAL_FILE)).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(fault(directory, "read", &error)),
    };
    fold(&bytes).map_err(|reason| JournalError {
        directory: directory.to_owned(),
        verb: "understood",
        reason,
    })
}

/// The state after the whole records of a journal; or why it is none.
pub(super) fn fold(journal: &[u8]) -> Result<State, String> {
    let mut state = State::default();
    if !journal.is_empty() && read_frames(journal).next().is_none() {
        return Err("its first record is damaged".to_owned());
    }
    for (payload, _) in read_frames(journal) {
        let record = serde_json::from_slice(payload)
            .map_err(|error| format!("a record of another version: {error}"))?;
        state.apply(record);
    }
    Ok(state)
}

/// How far a record has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Process,
    Kernel,
    Disk,
}

pub(super) struct Writer {
    directory: PathBuf,
    journal: File,
    /// Bytes after the first snapshot.
    journal_length: u64,
    candidates: BesideFile,
    names: BesideFile,
    /// `None` as long as nothing is reported.
    report: Option<File>,
    /// The list of items that were not done, which others write.
    failures: File,
    /// Bytes of it that are on disk.
    failures_synced: u64,
    state: State,
    journal_buffer: Vec<u8>,
    report_buffer: Vec<u8>,
    /// It was given up, and its file may still be there.
    report_is_to_go: bool,
    /// When the oldest record came that is not with the kernel.
    unflushed_since: Option<Instant>,
    /// When the oldest record came that is not on disk.
    unsynced_since: Option<Instant>,
}

impl Writer {
    /// `failures` is the list of items that were not done: what the journal counts of them is not on
    /// disk before they are.
    pub(super) async fn start(
        directory: &Path,
        failures: File,
        state: State,
    ) -> Result<Self, JournalError> {
        let open = async {
            let failures_synced = synced(&failures, 0).await?;
            let journal = fresh_journal(directory, &state).await?;
            let report = report_of(directory, &state).await?;
            Ok((journal, report, failures_synced))
        };
        let (journal, report, failures_synced) = open
            .await
            .map_err(|error| fault(directory, "written", &error))?;
        Ok(Self {
            directory: directory.to_owned(),
            journal,
            journal_length: 0,
            candidates: BesideFile::new(directory, Beside::Candidates),
            names: BesideFile::new(directory, Beside::Names),
            report,
            failures,
            failures_synced,
            state,
            journal_buffer: Vec::new(),
            report_buffer: Vec::new(),
            report_is_to_go: false,
            unflushed_since: None,
            unsynced_since: None,
        })
    }

    /// Writes until every sender is gone or a write fails; then later senders find it in `failure`.
    pub(super) async fn run(
        mut self,
        mut receiver: mpsc::Receiver<Message>,
        failure: Arc<OnceLock<JournalError>>,
    ) {
        let mut batch = Vec::with_capacity(QUEUE);
        loop {
            let closed = match self.deadline() {
                None => receiver.recv_many(&mut batch, QUEUE).await == 0,
                Some(deadline) => tokio::select! {
                    biased;
                    received = receiver.recv_many(&mut batch, QUEUE) => received == 0,
                    () = sleep_until(deadline) => false,
                },
            };
            let mut waiting = Vec::new();
            let mut wanted = if closed { Reach::Disk } else { Reach::Process };
            for message in batch.drain(..) {
                wanted = wanted.max(self.take(message, &mut waiting));
            }
            let result = self
                .write(wanted)
                .await
                .map_err(|e| fault(&self.directory, "written", &e));
            let failed = result.is_err();
            if let Err(error) = &result {
                tracing::error!(%error, "journal failed");
                failure.get_or_init(|| error.clone());
            }
            for reply in waiting {
                // The one who waited may be gone; then nobody acts on the answer.
                drop(reply.send(result.clone()));
            }
            if failed || closed {
                return;
            }
        }
    }

    /// Takes a message in; says how far it must come at once.
    fn take(&mut self, message: Message, waiting: &mut Vec<Reply>) -> Reach {
        let (record, wanted) = match message {
            Message::Beside(which, frame) => {
                match which {
                    Beside::Candidates => self.candidates.push(&frame),
                    Beside::Names => self.names.push(&frame),
                }
                self.note_arrival();
                return Reach::Process;
            }
            Message::Told(record, _) if self.state.report_given_up.is_some() => {
                (record, Reach::Process)
            }
            Message::Told(record, frames) => {
                self.report_buffer.extend_from_slice(&frames);
                let told = Record::Told {
                    record: Box::new(record),
                    bytes: frames.len() as u64,
                };
                (told, Reach::Process)
            }
            Message::Append(record) => (record, Reach::Process),
            Message::HandOver(record, reply) => {
                waiting.push(reply);
                (record, Reach::Kernel)
            }
            Message::Commit(record, reply) => {
                waiting.push(reply);
                (record, Reach::Disk)
            }
        };
        encode(&record, &mut self.journal_buffer);
        let gives_report_up = matches!(record, Record::ReportGivenUp { .. });
        self.state.apply(record);
        if gives_report_up {
            self.report_buffer.clear();
            self.report = None;
            self.report_is_to_go = true;
        }
        self.note_arrival();
        wanted
    }

    fn note_arrival(&mut self) {
        let now = Instant::now();
        self.unflushed_since.get_or_insert(now);
        self.unsynced_since.get_or_insert(now);
    }

    fn deadline(&self) -> Option<Instant> {
        let flush = self.unflushed_since.map(|since| since + FLUSH_EVERY);
        let sync = self.unsynced_since.map(|since| since + SYNC_EVERY);
        flush.into_iter().chain(sync).min()
    }

    /// Before the records that know of it.
    async fn write_report(&mut self) -> io::Result<()> {
        if self.report_buffer.is_empty() {
            return Ok(());
        }
        if self.report.is_none() {
            let path = self.directory.join(REPORT_FILE);
            let mut options = OpenOptions::new();
            self.report = Some(options.create(true).append(true).open(path).await?);
        }
        if let Some(report) = &mut self.report {
            report.write_all(&self.report_buffer).await?;
            report.flush().await?;
            report.sync_data().await?;
        }
        self.report_buffer.clear();
        Ok(())
    }

    async fn write(&mut self, wanted: Reach) -> io::Result<()> {
        let due = |since: Option<Instant>, every| since.is_some_and(|at| at.elapsed() >= every);
        let sync = wanted == Reach::Disk || due(self.unsynced_since, SYNC_EVERY);
        if !sync && wanted == Reach::Process && !due(self.unflushed_since, FLUSH_EVERY) {
            return Ok(());
        }
        self.unflushed_since = None;
        self.candidates.write().await?;
        self.names.write().await?;
        self.write_report().await?;
        if !self.journal_buffer.is_empty() {
            // The kernel writes what it has in any order.
            self.failures_synced = synced(&self.failures, self.failures_synced).await?;
            self.journal.write_all(&self.journal_buffer).await?;
            self.journal.flush().await?;
            self.journal_length += self.journal_buffer.len() as u64;
            self.journal_buffer.clear();
        }
        if sync && self.unsynced_since.is_some() {
            self.journal.sync_data().await?;
            self.unsynced_since = None;
            if std::mem::take(&mut self.report_is_to_go) {
                remove_report(&self.directory).await?;
            }
            if self.journal_length > ROTATE_AT {
                self.journal = fresh_journal(&self.directory, &self.state).await?;
                self.journal_length = 0;
            }
        }
        Ok(())
    }
}

/// Brings a file to the disk that has grown since `before` bytes of it were there; gives its length.
async fn synced(file: &File, before: u64) -> io::Result<u64> {
    let length = file.metadata().await?.len();
    if length != before {
        file.sync_data().await?;
    }
    Ok(length)
}

/// The report's file as far as the journal knows of it; `None` if it knows of nothing.
async fn report_of(directory: &Path, state: &State) -> io::Result<Option<File>> {
    if state.report_given_up.is_some() {
        remove_report(directory).await?;
        return Ok(None);
    }
    let (path, bytes) = (directory.join(REPORT_FILE), state.report_bytes);
    if bytes == 0 && !fs::try_exists(&path).await? {
        return Ok(None);
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .await?;
    file.set_len(bytes).await?;
    Ok(Some(file))
}

async fn remove_report(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(REPORT_FILE)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn encode(record: &Record, into: &mut Vec<u8>) {
    match serde_json::to_vec(record) {
        Ok(payload) => write_frame(&payload, into),
        Err(error) => tracing::error!(%error, "a journal record cannot be encoded"),
    }
}

/// Puts a journal with nothing but a snapshot in the place of the present one.
async fn fresh_journal(directory: &Path, state: &State) -> io::Result<File> {
    let mut bytes = Vec::new();
    encode(&Record::Snapshot(Box::new(state.clone())), &mut bytes);
    let next = directory.join(NEXT_FILE);
    let mut file = File::create(&next).await?;
    file.write_all(&bytes).await?;
    file.flush().await?;
    file.sync_all().await?;
    fs::rename(&next, directory.join(JOURNAL_FILE)).await?;
    File::open(directory).await?.sync_all().await?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::time::advance;

    use super::*;
    use crate::journal::Stage;

    fn record() -> Record {
        Record::Stage {
            stage: Stage::Delete,
        }
    }

    fn nothing() -> File {
        File::from_std(tempfile::tempfile().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_appended_is_with_the_kernel_in_20_ms_and_on_disk_in_200() {
        let directory = TempDir::new().unwrap();
        let mut writer = Writer::start(directory.path(), nothing(), State::default())
            .await
            .unwrap();
        assert_eq!(writer.deadline(), None);
        let at = Instant::now();
        writer.take(Message::Append(record()), &mut Vec::new());
        assert_eq!(writer.deadline(), Some(at + Duration::from_millis(20)));
        advance(Duration::from_millis(20)).await;
        writer.write(Reach::Process).await.unwrap();
        let kept = replay(directory.path()).await.unwrap();
        assert_eq!(kept.stage, Stage::Delete);
        assert_eq!(writer.deadline(), Some(at + Duration::from_millis(200)));
        advance(Duration::from_millis(180)).await;
        writer.write(Reach::Process).await.unwrap();
        assert_eq!(writer.deadline(), None, "it is on disk");
    }

    /// `/dev/null` has no disk to which what it took could be brought.
    #[tokio::test]
    async fn nothing_is_committed_before_the_list_of_failures_is_on_disk() {
        let directory = TempDir::new().unwrap();
        let list = OpenOptions::new().append(true).open("/dev/null").await;
        let writer = Writer::start(directory.path(), list.unwrap(), State::default()).await;
        let mut writer = writer.unwrap();
        writer.take(Message::Append(record()), &mut Vec::new());
        writer.failures_synced = 1;
        let error = writer.write(Reach::Kernel).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let kept = replay(directory.path()).await.unwrap();
        assert_eq!(kept.stage, State::default().stage, "the kernel has nothing");
    }

    /// `/dev/full` answers every write as a full disk does.
    #[tokio::test]
    async fn a_full_disk_refuses_every_further_record_by_its_name() {
        let directory = TempDir::new().unwrap();
        let mut writer = Writer::start(directory.path(), nothing(), State::default())
            .await
            .unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").await;
        writer.journal = full.unwrap();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut tasks = tokio::task::JoinSet::new();
        let failure = Arc::default();
        tasks.spawn(writer.run(receiver, Arc::clone(&failure)));
        let journal = crate::journal::Journal {
            sender,
            directory: directory.path().to_owned(),
            failure,
        };
        let first = journal.hand_over(record()).await.unwrap_err();
        tasks.join_all().await;
        for error in [
            first,
            journal.append(record()).await.unwrap_err(),
            journal
                .beside(Beside::Candidates, Vec::new())
                .await
                .unwrap_err(),
            journal.commit(record()).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("No space left"), "{error}");
        }
    }
}
