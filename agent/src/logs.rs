//! Logs of executions on their way to control (`LogLevel`).
//!
//! Lines are kept in files of the state directory, which outlive the execution's own, until control
//! has kept them. Nothing waits for them: what finds no room is left out, and the log says so.

mod allowance;
mod courier;
mod file;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use datasync_model::{ExecutionSpec, LogLevel, TaskExecutionArn};
use datasync_transfer::LogSink;
use tokio::sync::Notify;

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
        let logs = found.into_iter().map(|(_, kept)| kept);
        let logs = logs.map(|kept| (kept.execution.id().to_owned(), kept));
        Self(Arc::new(Shared {
            directory,
            logs: Mutex::new(logs.collect()),
            news: Notify::new(),
            flush,
        }))
    }

    /// The log of an execution that begins or goes on: where its lines go, and what writes them until
    /// that is dropped. `None` if it has none, or the disk refuses it, which is told here.
    pub(crate) fn begin(&self, spec: &ExecutionSpec) -> Option<(LogSink, Writer)> {
        if spec.options.log_level == LogLevel::Off {
            return None;
        }
        let execution = &spec.execution;
        let path = self.0.directory.join(format!("{}.jsonl", execution.id()));
        let mut logs = self.0.logs();
        let known = logs.remove(execution.id());
        let opened = match &known {
            Some(kept) => LogFile::reopen(&kept.path),
            None => LogFile::create(path, execution.clone()),
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(task_execution_id = execution.id(), %error,
                    "no log of the execution is kept");
                return None;
            }
        };
        let mut kept = Kept::of(&file, true);
        if let Some(known) = known {
            kept.at = known.at;
        }
        logs.insert(execution.id().to_owned(), kept);
        drop(logs);
        let (sink, lines) = LogSink::new();
        let writer = Writer::new(self.clone(), file, lines, sink.left_out());
        Some((sink, writer))
    }

    /// Control deleted the agent: nobody wants them. Nothing may be written any more.
    pub(crate) fn discard(&self) {
        for (_, kept) in std::mem::take(&mut *self.0.logs()) {
            remove(&kept);
        }
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
        if let Some(kept) = logs.get_mut(id) {
            kept.is_written = false;
        }
        drop_surplus(&mut logs);
        drop(logs);
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
        if kept.is_done() {
            remove(kept);
            logs.remove(id);
        }
    }
}

/// Removes the oldest of those that nothing is written to, where they are too many.
fn drop_surplus(logs: &mut BTreeMap<String, Kept>) {
    let waiting = logs.iter().filter(|(_, kept)| !kept.is_written);
    let surplus = waiting.clone().count().saturating_sub(WAITING_MAX);
    if surplus == 0 {
        return;
    }
    let written_at = |kept: &Kept| kept.path.metadata().and_then(|facts| facts.modified()).ok();
    let mut oldest: Vec<_> = waiting
        .map(|(id, kept)| (written_at(kept), id.clone()))
        .collect();
    oldest.sort();
    for (_, id) in oldest.into_iter().take(surplus) {
        if let Some(kept) = logs.remove(&id) {
            tracing::warn!(
                task_execution_id = id,
                unsent = kept.lines.saturating_sub(kept.at.line()),
                "the log of an execution is dropped: control has not kept it for too long"
            );
            remove(&kept);
        }
    }
}

fn remove(kept: &Kept) {
    if let Err(error) = std::fs::remove_file(&kept.path) {
        tracing::warn!(%error, path = %kept.path.display(), "the log of an execution stays");
    }
}

#[cfg(test)]
mod tests;
