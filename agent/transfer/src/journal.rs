//! What is durable of an execution: an append-only file of checksummed records.
//!
//! Every prefix of the file is a valid state to resume from: [`State`] is the fold of the records.
//! Appended records reach the kernel within 20 ms (they survive SIGKILL) and the disk
//! within 200 ms (they survive a power cut); a record is with the kernel when
//! [`Journal::hand_over`] returns, and on disk when [`Journal::commit`] does. Delete candidates,
//! names of files that have several, and items that were not done have files of their own, which are synced before the journal, so that the
//! journal never runs ahead of them.

mod beside;
mod filling;
mod frame;
mod state;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datasync_endpoint::{Key, UploadId};
use datasync_model::{Counters, Failure};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::history::Root;

pub(crate) use beside::{Beside, BesideReader};
pub(crate) use filling::{Begun, Filling, PartMark};
pub(crate) use frame::{read_frames, write_frame};
pub(crate) use state::{Intent, State, Upload};
pub(crate) use writer::replay;

/// The stages of an execution, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Walk, merge, transfer.
    #[default]
    Scan,
    /// Give files their further names.
    Link,
    /// Delete what the source no longer has.
    Delete,
    /// The end check.
    Verify,
}

/// Time spent, in milliseconds, over all runs of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elapsed {
    pub(crate) prepare_ms: u64,
    pub(crate) transfer_ms: u64,
    pub(crate) verify_ms: u64,
    pub(crate) total_ms: u64,
}

/// One fact. The names of the members are short because there are two records per item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// The whole state, at the start of a file.
    #[serde(rename = "s")]
    Snapshot(Box<State>),
    /// An item left the merge: everything before its key has left too.
    #[serde(rename = "h")]
    Handed {
        n: u64,
        key: Key,
        /// Whether the destination has an object of this key.
        #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
        exists: bool,
    },
    /// All items up to this key left the merge. Those that are counted here have an object that is
    /// as it should be.
    #[serde(rename = "p")]
    Passed { key: Key, add: Counters },
    /// A file with several names left the merge by one of them, which is beside the journal: its turn
    /// comes later.
    #[serde(rename = "m")]
    Deferred {
        key: Key,
        /// Whether the destination has an object of this key.
        #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
        exists: bool,
    },
    /// So many of those names in a row are as they were.
    #[serde(rename = "q")]
    Kept { names: u64, add: Counters },
    /// An item is finished; the counters are what it adds.
    #[serde(rename = "f")]
    Final { n: u64, add: Counters },
    /// A directory could not be read to its end.
    #[serde(rename = "l")]
    Unread { key: Key, add: Counters },
    /// Things counted outside of items.
    #[serde(rename = "c")]
    Counted { add: Counters },
    /// A multipart upload is about to be created.
    #[serde(rename = "i")]
    UploadIntent {
        key: Key,
        #[serde(flatten)]
        intent: Intent,
    },
    /// It was created; without what it was begun with it is only to be aborted.
    #[serde(rename = "u")]
    UploadOpen {
        key: Key,
        upload: UploadId,
        #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
        begun: Option<Box<Begun>>,
    },
    /// The store has a part of it.
    #[serde(rename = "k")]
    Part {
        key: Key,
        #[serde(rename = "n")]
        number: u32,
        #[serde(flatten)]
        mark: PartMark,
    },
    /// It was completed or aborted.
    #[serde(rename = "x")]
    UploadClosed { key: Key },
    /// A stage begins.
    #[serde(rename = "g")]
    Stage { stage: Stage },
    /// The root that the execution began with.
    #[serde(rename = "r")]
    Root { root: Root },
    /// A guard held the deletes back.
    #[serde(rename = "w")]
    Withheld { failure: Failure },
    /// Time spent so far.
    #[serde(rename = "e")]
    Elapsed { elapsed: Elapsed },
    /// The report had no room on the disk: its file is gone, and nothing more is told.
    #[serde(rename = "n")]
    ReportGivenUp { failure: Failure },
    /// A fact, and the bytes that the report's file has of it.
    #[serde(rename = "t")]
    Told { record: Box<Record>, bytes: u64 },
    /// Deleting went past this key.
    #[serde(rename = "d")]
    Deleted { key: Key, add: Counters },
}

/// The journal could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal in {directory} cannot be {verb}: {reason}")]
pub(crate) struct JournalError {
    pub(crate) directory: PathBuf,
    pub(crate) verb: &'static str,
    pub(crate) reason: String,
}

enum Message {
    Append(Record),
    Told(Record, Vec<u8>),
    Beside(Beside, Vec<u8>),
    HandOver(Record, Reply),
    Commit(Record, Reply),
}

type Reply = oneshot::Sender<Result<(), JournalError>>;

/// The way to the writer task. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    sender: mpsc::Sender<Message>,
    directory: PathBuf,
    /// Why the writer has ended.
    failure: Arc<OnceLock<JournalError>>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

const QUEUE: usize = 1024;

impl Journal {
    /// Replays the journal of `directory`, if there is one, and starts a fresh file with its state.
    ///
    /// A torn or damaged tail is cut off: what follows the first bad record never happened.
    /// `failures` is the list of items that were not done.
    ///
    /// # Errors
    /// If files cannot be read or written.
    pub(crate) async fn open(
        directory: &Path,
        failures: File,
        tasks: &mut JoinSet<()>,
    ) -> Result<(Self, State), JournalError> {
        let state = writer::replay(directory).await?;
        let writer = writer::Writer::start(directory, failures, state.clone()).await?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let failure = Arc::default();
        tasks.spawn(writer.run(receiver, Arc::clone(&failure)));
        Ok((
            Self {
                sender,
                directory: directory.to_owned(),
                failure,
            },
            state,
        ))
    }

    /// Whether `directory` has the journal of an execution that was begun.
    ///
    /// # Errors
    /// If that cannot be seen.
    pub(crate) async fn exists(directory: &Path) -> std::io::Result<bool> {
        tokio::fs::try_exists(directory.join(writer::JOURNAL_FILE)).await
    }

    /// Adds a record; it is durable soon.
    ///
    /// # Errors
    /// If the journal has failed before: no further work may be begun.
    pub(crate) async fn append(&self, record: Record) -> Result<(), JournalError> {
        self.sender
            .send(Message::Append(record))
            .await
            .map_err(|_| self.failed())
    }

    /// Adds a record and what the report tells of it, as frames for the report's file: both or
    /// neither are there after a crash.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub(crate) async fn told(&self, record: Record, frames: Vec<u8>) -> Result<(), JournalError> {
        if frames.is_empty() {
            return self.append(record).await;
        }
        self.sender
            .send(Message::Told(record, frames))
            .await
            .map_err(|_| self.failed())
    }

    /// Adds a frame to a file beside the journal: it is on disk before the records that follow.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub(crate) async fn beside(&self, which: Beside, frame: Vec<u8>) -> Result<(), JournalError> {
        self.sender
            .send(Message::Beside(which, frame))
            .await
            .map_err(|_| self.failed())
    }

    /// Adds a record and waits until the kernel has it, with everything before it: it survives
    /// SIGKILL.
    ///
    /// # Errors
    /// As [`Journal::append`], or if it could not be written.
    pub(crate) async fn hand_over(&self, record: Record) -> Result<(), JournalError> {
        self.send(|reply| Message::HandOver(record, reply)).await
    }

    /// Adds a record and waits until it is on disk, with everything before it.
    ///
    /// # Errors
    /// If it could not be written: what it announces must not be done.
    pub(crate) async fn commit(&self, record: Record) -> Result<(), JournalError> {
        self.send(|reply| Message::Commit(record, reply)).await
    }

    async fn send(&self, message: impl FnOnce(Reply) -> Message) -> Result<(), JournalError> {
        let (reply, done) = oneshot::channel();
        self.sender
            .send(message(reply))
            .await
            .map_err(|_| self.failed())?;
        done.await.map_err(|_| self.failed())?
    }

    fn failed(&self) -> JournalError {
        let ended = || JournalError {
            directory: self.directory.clone(),
            verb: "written",
            reason: "its writer has ended".to_owned(),
        };
        self.failure.get().cloned().unwrap_or_else(ended)
    }
}

#[cfg(test)]
mod tests;
