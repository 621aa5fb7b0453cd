//! The end: temporary files go, directories get their times.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use datasync_endpoint::{EndpointError, EntryKind, ErrorKind, Handle, Key, Settled, Source};
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use super::NfsDestination;
use super::times::{Times, TimesLog, Why};
use crate::changes::NewAttributes;

/// Directories whose times are set at the same time.
const AT_ONCE: usize = 16;

/// What is left of the log, chunk by chunk: first what was changed, from the end, so that the first
/// word on a directory is the last that is carried out; then what was written, from the beginning.
#[derive(Debug)]
pub(super) struct Agenda {
    /// Where the chunks begin, and where the last one ends.
    chunks: Vec<u64>,
    done: usize,
}

impl Agenda {
    fn new(chunks: Vec<u64>) -> Self {
        Self { chunks, done: 0 }
    }

    /// The chunk that is next, and what of it is looked at.
    fn next(&self) -> Option<((u64, u64), Why)> {
        let count = self.chunks.len().saturating_sub(1);
        let (at, why) = match self.done.checked_sub(count) {
            None => (count - 1 - self.done, Why::Changed),
            Some(at) => (at, Why::Written),
        };
        let start = *self.chunks.get(at)?;
        let end = *self.chunks.get(at + 1)?;
        Some(((start, end), why))
    }
}

/// The log of an execution, and how far its settling has come.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) times: TimesLog,
    agenda: Mutex<Option<Agenda>>,
}

impl Log {
    /// Opens what an earlier run of the process has written, or begins.
    pub(super) fn open(path: &Path, new_tag: u64) -> std::io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            times: TimesLog::open(path, new_tag)?,
            agenda: Mutex::default(),
        })
    }

    fn next(&self) -> Option<((u64, u64), Why)> {
        let agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        agenda.as_ref()?.next()
    }

    fn is_begun(&self) -> bool {
        let agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        agenda.is_some()
    }

    fn begin(&self, chunks: Vec<u64>) {
        let mut agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        *agenda = Some(Agenda::new(chunks));
    }

    /// What comes later is for another settling, which begins anew.
    fn end(&self) {
        let mut agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        *agenda = None;
    }

    fn advance(&self) {
        let mut agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agenda) = &mut *agenda {
            agenda.done += 1;
        }
    }
}

impl NfsDestination {
    pub(super) async fn settle_some(&self) -> Result<Settled, EndpointError> {
        let Some(log) = &self.log else {
            return Ok(Settled::default());
        };
        if !log.is_begun() {
            self.fresh(|| self.clear_staging()).await?;
            let path = log.path.clone();
            let chunks = self.blocking(move || TimesLog::chunks(&path)).await?;
            log.begin(chunks);
        }
        let Some((span, why)) = log.next() else {
            log.end();
            return Ok(Settled::default());
        };
        let path = log.path.clone();
        let times = self
            .blocking(move || TimesLog::read(&path, span, why))
            .await?;
        let set = stream::iter(times).map(|(key, times)| async move {
            let set = self.fresh(|| self.set_times(&key, times)).await;
            (key, set)
        });
        let set: Vec<_> = set.buffer_unordered(AT_ONCE).collect().await;
        let mut settled = Settled {
            failed: Vec::new(),
            more: true,
        };
        for (key, outcome) in set {
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind.is_transient() => return Err(error),
                // Nobody asked for these times.
                Err(error) if why == Why::Changed => {
                    tracing::warn!(%error, %key, "a directory does not get its times of before back");
                }
                Err(error) => settled.failed.push((key, error)),
            }
        }
        log.advance();
        Ok(settled)
    }

    /// One that was removed meanwhile needs no times.
    async fn set_times(&self, key: &Key, times: Times) -> Result<(), EndpointError> {
        let Some(found) = self.entry(key).await? else {
            return Ok(());
        };
        if found.attributes.kind != EntryKind::Directory {
            return Ok(());
        }
        let new = NewAttributes {
            mtime: times.mtime,
            atime: times.atime,
            ..NewAttributes::default()
        };
        let set = self.set(&found.handle.0, &new).await;
        set.map_err(|error| self.of_item(key, error))
    }

    /// Gives the root its times back after a trial that changed it, as far as the server lets us.
    pub(super) async fn restore_root(&self, times: Times) {
        let restored = async {
            let root = self.tree.root().await?;
            let Handle(handle) = root.handle;
            let new = NewAttributes {
                mtime: times.mtime,
                atime: times.atime,
                ..NewAttributes::default()
            };
            self.set(&handle, &new).await
        };
        if let Err(error) = restored.await {
            tracing::debug!(%error, "the root keeps the times of the trial");
        }
    }

    /// Reads our own disk off the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, EndpointError> {
        let mut task = JoinSet::new();
        task.spawn_blocking(work);
        let failed = |detail: String| {
            self.fault(
                ErrorKind::Invalid,
                "SETATTR",
                &Key::default(),
                own_disk(&detail),
            )
        };
        match task.join_next().await {
            Some(Ok(Ok(done))) => Ok(done),
            Some(Ok(Err(error))) => Err(failed(error.to_string())),
            Some(Err(error)) => Err(failed(error.to_string())),
            None => Err(failed("nothing reads it".to_owned())),
        }
    }
}

/// What is said where the log cannot be read or written.
pub(super) fn own_disk(detail: &str) -> String {
    format!("the agent's own list of directories whose times are to be set: {detail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_put_back_from_the_end_and_what_was_written_comes_last() {
        let mut agenda = Agenda::new(vec![0, 10, 25]);
        let mut order = Vec::new();
        while let Some(next) = agenda.next() {
            order.push(next);
            agenda.done += 1;
        }
        let wanted = [
            ((10, 25), Why::Changed),
            ((0, 10), Why::Changed),
            ((0, 10), Why::Written),
            ((10, 25), Why::Written),
        ];
        assert_eq!(order, wanted);
        assert_eq!(Agenda::new(vec![0]).next(), None, "an empty log");
    }
}
