//! Logs of executions on their way to control (`LogLevel`).
//!
//! Lines are kept in files of the state directory, which outlive the execution's own, until control
//! has kept them. Nothing waits for them: what finds no room is left out, and the log says so.

mod allowance;
mod courier;
mod file;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use datasync_model::{ExecutionSpec, LogLevel, TaskExecutionArn};
use datasync_transfer::LogSink;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub(crate) use courier::Courier;
use file::{Batch, Flush, LogFile, Place};
pub(crate) use writer::Writer;

/// Logs that wait for control while nothing is written to them; the oldest go first. At most 512 MiB.
const WAITING_MAX: usize = 32;

/// A log that is written, or that control has not kept to its end.
#[derive(Debug, Clone)]
struct Kept {
    execution: TaskExecutionArn,
    /// Random; tells it from a log that was begun anew.
    log_id: String,
    path: PathBuf,
    lines: u64,
    is_written: bool,
    /// Of two that nothing is written to, the one with the lower number was left earlier.
    left: u64,
    /// Where control has not kept it any more.
    at: Place,
}

impl Kept {
    fn of(file: &LogFile, is_written: bool) -> Self {
        Self {
            execution: file.execution().clone(),
            log_id: file.log_id().to_owned(),
            path: file.path().to_owned(),
            lines: file.lines(),
            is_written,
            left: 0,
            at: Place::Line(0),
        }
    }

    fn is_done(&self) -> bool {
        !self.is_written && self.at.line() >= self.lines
    }
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    /// By the execution's id.
    logs: Mutex<BTreeMap<String, Kept>>,
    /// Rung when there is something to send.
    news: Notify,
    /// Once for each part that is sent, not for each line.
    flush: Flush,
}

impl Shared {
    fn logs(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The logs of an agent's executions. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Logs(Arc<Shared>);

impl Logs {
    /// Takes up what is in `directory`. Blocks on the disk. A file that is no log is named and left.
    pub(crate) fn resume(directory: PathBuf) -> Self {
        Self::resume_with(directory, std::fs::File::sync_data)
    }

    fn resume_with(directory: PathBuf, flush: Flush) -> Self {
        let mut found: Vec<(SystemTime, Kept)> = Vec::new();
        let entries = std::fs::read_dir(&directory).into_iter().flatten();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let modified = path.metadata().and_then(|facts| facts.modified());
            match LogFile::reopen(&path) {
                Ok(file) => found.push((
                    modified.unwrap_or(SystemTime::UNIX_EPOCH),
                    Kept::of(&file, false),
                )),
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "not a log; left alone")
                }
            }
        }
        found.sort_by_key(|(modified, _)| *modified);
        let surplus = found.len().saturating_sub(WAITING_MAX);
        for (_, kept) in found.drain(..surplus) {
            remove(&kept);
        }
        let logs = (0..).zip(found).map(|(left, (_, kept))| {
            let id = kept.execution.id().to_owned();
            (id, Kept { left, ..kept })
        });
        Self(Arc::new(Shared {
            directory,
            logs: Mutex::new(logs.collect()),
            news: Notify::new(),
            flush,
        }))
    }

    /// The log of an execution that begins or goes on: where its lines go, and what writes them until
    /// that is dropped. `None` if it has none, or the disk refuses it, which is told here.
    pub(crate) async fn begin(&self, spec: &ExecutionSpec) -> Option<(LogSink, Writer)> {
        if spec.options.log_level == LogLevel::Off {
            return None;
        }
        let execution = spec.execution.clone();
        let id = execution.id().to_owned();
        let new = self.0.directory.join(format!("{id}.jsonl"));
        // Nobody removes it meanwhile.
        let known = self.0.logs().get_mut(&id).map(|kept| {
            kept.is_written = true;
            kept.path.clone()
        });
        let opened = blocking(move || match known {
            Some(path) => LogFile::reopen(&path),
            None => LogFile::create(new, execution),
        });
        let opened = opened.await;
        let mut logs = self.0.logs();
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(task_execution_id = id, %error, "no log of the execution is kept");
                logs.remove(&id);
                return None;
            }
        };
        let mut kept = Kept::of(&file, true);
        if let Some(known) = logs.get(&id) {
            kept.at = known.at;
        }
        logs.insert(id, kept);
        drop(logs);
        let (sink, lines) = LogSink::new();
        let writer = Writer::new(self.clone(), file, lines, sink.left_out());
        Some((sink, writer))
    }

    /// Control deleted the agent: nobody wants them. Nothing may be written any more.
    pub(crate) fn discard(&self) {
        let all = std::mem::take(&mut *self.0.logs());
        all.values().for_each(remove);
    }

    /// More lines are on disk.
    fn written(&self, file: &LogFile) {
        if let Some(kept) = self.0.logs().get_mut(file.execution().id()) {
            kept.lines = file.lines();
        }
        self.0.news.notify_one();
    }

    /// Nothing is written to the log of the execution any more, for now.
    fn left(&self, id: &str) {
        let mut logs = self.0.logs();
        let last = logs.values().map(|kept| kept.left).max();
        if let Some(kept) = logs.get_mut(id) {
            kept.is_written = false;
            kept.left = last.unwrap_or(0) + 1;
        }
        let surplus = take_surplus(&mut logs);
        drop(logs);
        surplus.iter().for_each(remove);
        self.0.news.notify_one();
    }

    /// The next lines that control has not kept, of the first log after `last` that has any.
    async fn unsent(&self, last: Option<&str>) -> Option<(String, Kept, Batch)> {
        loop {
            let (id, kept) = self.next_log(last)?;
            match file::read(&kept.path, kept.at, kept.lines, self.0.flush).await {
                Ok(batch) => return Some((id, kept, batch)),
                Err(error) => {
                    tracing::error!(task_execution_id = id, %error,
                        "the log of an execution cannot be read and is not sent");
                    self.0.logs().remove(&id);
                }
            }
        }
    }

    fn next_log(&self, last: Option<&str>) -> Option<(String, Kept)> {
        let logs = self.0.logs();
        let has_more = |(_, kept): &(&String, &Kept)| kept.at.line() < kept.lines;
        let after = |(id, _): &(&String, &Kept)| last.is_none_or(|last| id.as_str() > last);
        let next = logs.iter().filter(after).find(has_more);
        let next = next.or_else(|| logs.iter().find(has_more));
        next.map(|(id, kept)| (id.clone(), kept.clone()))
    }

    /// Control has kept the log `log_id` of the execution up to `at`.
    fn kept_to(&self, id: &str, log_id: &str, at: Place) {
        let mut logs = self.0.logs();
        let Some(kept) = logs.get_mut(id).filter(|kept| kept.log_id == log_id) else {
            return;
        };
        kept.at = at;
        let done = if kept.is_done() {
            logs.remove(id)
        } else {
            None
        };
        drop(logs);
        done.iter().for_each(remove);
    }
}

/// Takes out the oldest of those that nothing is written to, where they are too many.
fn take_surplus(logs: &mut BTreeMap<String, Kept>) -> Vec<Kept> {
    let waiting = logs.iter().filter(|(_, kept)| !kept.is_written);
    let mut oldest: Vec<_> = waiting.map(|(id, kept)| (kept.left, id.clone())).collect();
    oldest.sort();
    oldest.truncate(oldest.len().saturating_sub(WAITING_MAX));
    let surplus = oldest.iter().filter_map(|(_, id)| logs.remove(id));
    surplus
        .inspect(|kept| {
            tracing::warn!(
                task_execution_id = kept.execution.id(),
                unsent = kept.lines.saturating_sub(kept.at.line()),
                "the log of an execution is dropped: control has not kept it for too long"
            );
        })
        .collect()
}

/// Does what blocks on the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let mut working = JoinSet::new();
    working.spawn_blocking(work);
    match working.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(io::Error::other(error)),
        None => Err(io::Error::other("nothing was done")),
    }
}

fn remove(kept: &Kept) {
    if let Err(error) = std::fs::remove_file(&kept.path) {
        tracing::warn!(%error, path = %kept.path.display(), "the log of an execution stays");
    }
}

#[cfg(test)]
mod tests;
