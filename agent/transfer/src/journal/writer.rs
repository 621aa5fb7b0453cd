//! The one task that writes the journal's files.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::{JournalError, Message, QUEUE, Record, State, read_frames, write_frame};
use crate::deletes::CANDIDATES_FILE;

/// How long an appended record may stay in the process.
const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// How long an appended record may stay in the page cache.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// A journal longer than this is replaced by one that begins with a snapshot, in bytes.
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
    let mut state = State::default();
    if !bytes.is_empty() && read_frames(&bytes).next().is_none() {
        return Err(JournalError {
            directory: directory.to_owned(),
            verb: "understood",
            reason: "its first record is damaged".to_owned(),
        });
    }
    for (payload, _) in read_frames(&bytes) {
        match serde_json::from_slice(payload) {
            Ok(record) => state.apply(record),
            Err(error) => {
                return Err(JournalError {
                    directory: directory.to_owned(),
                    verb: "understood",
                    reason: format!("a record of another version: {error}"),
                });
            }
        }
    }
    Ok(state)
}

pub(super) struct Writer {
    directory: PathBuf,
    journal: File,
    journal_length: u64,
    candidates: File,
    state: State,
    journal_buffer: Vec<u8>,
    candidates_buffer: Vec<u8>,
    /// When the oldest record came that is not with the kernel.
    unflushed_since: Option<Instant>,
    /// When the oldest record came that is not on disk.
    unsynced_since: Option<Instant>,
}

impl Writer {
    pub(super) async fn start(directory: &Path, state: State) -> Result<Self, JournalError> {
        let open = async {
            let journal = fresh_journal(directory, &state).await?;
            let candidates = OpenOptions::new()
                .create(true)
                .append(true)
                .open(directory.join(CANDIDATES_FILE))
                .await?;
            Ok((journal, candidates))
        };
        let ((journal, journal_length), candidates) = open
            .await
            .map_err(|error| fault(directory, "written", &error))?;
        Ok(Self {
            directory: directory.to_owned(),
            journal,
            journal_length,
            candidates,
            state,
            journal_buffer: Vec::new(),
            candidates_buffer: Vec::new(),
            unflushed_since: None,
            unsynced_since: None,
        })
    }

    /// Writes until every sender is gone or a write fails; then later senders are told.
    pub(super) async fn run(mut self, mut receiver: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(QUEUE);
        loop {
            let closed = match self.deadline() {
                None => receiver.recv_many(&mut batch, QUEUE).await == 0,
                Some(deadline) => tokio::select! {
                    received = receiver.recv_many(&mut batch, QUEUE) => received == 0,
                    () = sleep_until(deadline) => false,
                },
            };
            let mut waiting = Vec::new();
            for message in batch.drain(..) {
                self.take(message, &mut waiting);
            }
            let sync = closed || !waiting.is_empty();
            let result = self
                .write(sync)
                .await
                .map_err(|e| fault(&self.directory, "written", &e));
            let failed = result.is_err();
            for reply in waiting {
                // The one who waited may be gone; then nobody acts on the answer.
                drop(reply.send(result.clone()));
            }
            if let Err(error) = &result {
                tracing::error!(%error, "journal failed");
            }
            if failed || closed {
                return;
            }
        }
    }

    fn take(
        &mut self,
        message: Message,
        waiting: &mut Vec<oneshot::Sender<Result<(), JournalError>>>,
    ) {
        let record = match message {
            Message::Candidate(frame) => {
                self.candidates_buffer.extend_from_slice(&frame);
                self.note_arrival();
                return;
            }
            Message::Append(record) => record,
            Message::Commit(record, reply) => {
                waiting.push(reply);
                record
            }
        };
        encode(&record, &mut self.journal_buffer);
        self.state.apply(record);
        self.note_arrival();
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

    async fn write(&mut self, sync: bool) -> io::Result<()> {
        let due = |since: Option<Instant>, every| since.is_some_and(|at| at.elapsed() >= every);
        let sync = sync || due(self.unsynced_since, SYNC_EVERY);
        if !sync && !due(self.unflushed_since, FLUSH_EVERY) {
            return Ok(());
        }
        self.unflushed_since = None;
        if !self.candidates_buffer.is_empty() {
            self.candidates.write_all(&self.candidates_buffer).await?;
            self.candidates.flush().await?;
            self.candidates.sync_data().await?;
            self.candidates_buffer.clear();
        }
        if !self.journal_buffer.is_empty() {
            self.journal.write_all(&self.journal_buffer).await?;
            self.journal.flush().await?;
            self.journal_length += self.journal_buffer.len() as u64;
            self.journal_buffer.clear();
        }
        if sync && self.unsynced_since.is_some() {
            self.candidates.sync_data().await?;
            self.journal.sync_data().await?;
            self.unsynced_since = None;
            if self.journal_length > ROTATE_AT {
                (self.journal, self.journal_length) =
                    fresh_journal(&self.directory, &self.state).await?;
            }
        }
        Ok(())
    }
}

fn encode(record: &Record, into: &mut Vec<u8>) {
    match serde_json::to_vec(record) {
        Ok(payload) => write_frame(&payload, into),
        Err(error) => tracing::error!(%error, "a journal record cannot be encoded"),
    }
}

/// Puts a journal with nothing but a snapshot in the place of the present one.
async fn fresh_journal(directory: &Path, state: &State) -> io::Result<(File, u64)> {
    let mut bytes = Vec::new();
    encode(&Record::Snapshot(Box::new(state.clone())), &mut bytes);
    let next = directory.join(NEXT_FILE);
    let mut file = File::create(&next).await?;
    file.write_all(&bytes).await?;
    file.flush().await?;
    file.sync_all().await?;
    fs::rename(&next, directory.join(JOURNAL_FILE)).await?;
    File::open(directory).await?.sync_all().await?;
    Ok((file, bytes.len() as u64))
}
