//! The audit log: one line of JSON for each call of the API, written once its answer is decided
//! and before it is sent.
//!
//! A line holds what was named, never what was handed over: no activation key, no secret, no text
//! of an error, which may repeat a client's value.

mod entry;
mod writer;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

pub(crate) use entry::{Entry, Outcome};
pub(crate) use writer::Writer;

use crate::rolling::RollingSettings;

/// Calls that were answered and whose lines are not written yet, besides those under way.
const BACKLOG: usize = 1024;

/// A call that was answered, or given up.
#[derive(Debug)]
struct Decided {
    entry: Entry,
    outcome: Outcome,
    at: Timestamp,
    /// Who waits for the line.
    written: Option<oneshot::Sender<()>>,
}

/// Where the lines go. A disk that fails costs lines, never an answer; a slow one delays answers.
#[derive(Debug)]
pub(crate) struct Audit {
    /// `None`: no audit log is kept.
    writer: Option<mpsc::Sender<Decided>>,
}

impl Audit {
    /// Nothing is kept.
    pub(crate) fn off() -> Self {
        Self { writer: None }
    }

    /// The log, and what writes it until the log is dropped. There is a place in it for each of
    /// `calls_max` calls at a time, so that no call waits for one that others are slow to make.
    pub(crate) fn new(settings: RollingSettings, calls_max: usize) -> (Self, Writer) {
        let (sender, decided) = mpsc::channel(calls_max.saturating_add(BACKLOG));
        let audit = Self {
            writer: Some(sender),
        };
        (audit, Writer::new(settings, decided))
    }

    /// Waits for a place in the log, so that there is one for the call whatever becomes of it.
    pub(crate) async fn begin(&self, entry: Entry) -> Pending {
        let place = match &self.writer {
            None => None,
            Some(writer) => match writer.clone().reserve_owned().await {
                Ok(place) => Some(place),
                Err(_) => {
                    tracing::error!("the audit log is closed: a call is not written");
                    None
                }
            },
        };
        Pending {
            place,
            entry,
            outcome: Outcome::ClientGone,
        }
    }
}

/// A call on its way to an answer. A call whose client goes away first is written as well: what it
/// asked for may have been done.
#[derive(Debug)]
pub(crate) struct Pending {
    place: Option<mpsc::OwnedPermit<Decided>>,
    pub(crate) entry: Entry,
    outcome: Outcome,
}

impl Pending {
    /// Writes the line; returns once the kernel has it, or the disk has refused it.
    pub(crate) async fn decided(mut self, outcome: Outcome) {
        self.outcome = outcome;
        let (written, line) = oneshot::channel();
        if self.hand_over(Some(written)) && line.await.is_err() {
            tracing::error!("the audit log was closed before a call was written");
        }
    }

    /// Whether it was still to be handed over.
    fn hand_over(&mut self, written: Option<oneshot::Sender<()>>) -> bool {
        let Some(place) = self.place.take() else {
            return false;
        };
        place.send(Decided {
            entry: self.entry.clone(),
            outcome: self.outcome,
            at: Timestamp::now(),
            written,
        });
        true
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.hand_over(None);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;
    use tokio::task::JoinSet;

    use super::*;
    use crate::records::{Access, AccessKey};
    use crate::store::Sealer;

    fn entry(id: &str) -> Entry {
        Entry::new(id, ([192, 0, 2, 1], 5000).into())
    }

    fn settings(directory: &Path) -> RollingSettings {
        RollingSettings {
            path: directory.join("audit.jsonl"),
            bytes_max: 1 << 20,
        }
    }

    fn lines(directory: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap();
        text.lines().map(parse).collect()
    }

    #[tokio::test]
    async fn every_call_is_written_also_one_that_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let (audit, writer) = Audit::new(settings(directory.path()), 1);
        let mut writing = JoinSet::new();
        writing.spawn_blocking(move || writer.run());
        drop(audit.begin(entry("one")).await);
        let two = audit.begin(entry("two")).await;
        two.decided(Outcome::Answered).await;
        let lines = lines(directory.path());
        assert_eq!(lines[0]["result"], "ClientGone");
        assert_eq!(lines[1]["result"], "ok");
        drop(audit);
        writing.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn calls_wait_for_a_place_and_none_is_lost() {
        let (directory, places) = (tempfile::tempdir().unwrap(), 3 + BACKLOG);
        let sealer = Sealer::open(directory.path()).unwrap();
        let id = "AKIAEXAMPLE".to_owned();
        let key = AccessKey::new(&sealer, id, "secret", None, Access::Full, 0).unwrap();
        let (audit, writer) = Audit::new(settings(directory.path()), 3);
        for _ in 0..places {
            audit.begin(entry("given up")).await.entry.signed_by(&key);
        }
        {
            let mut waiting = std::pin::pin!(audit.begin(entry("waits")));
            assert!(futures::poll!(waiting.as_mut()).is_pending());
        }
        drop(audit);
        let mut writing = JoinSet::new();
        writing.spawn_blocking(move || writer.run());
        writing.join_next().await.unwrap().unwrap();
        assert_eq!(lines(directory.path()).len(), places);
    }

    #[tokio::test]
    async fn without_a_log_nothing_is_waited_for() {
        let pending = Audit::off().begin(entry("x")).await;
        pending.decided(Outcome::Answered).await;
    }
}
