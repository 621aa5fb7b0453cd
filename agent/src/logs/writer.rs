//! What writes the lines of one execution.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datasync_model::{LogLine, Severity};
use datasync_transfer::LogEntry;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::allowance::Allowance;
use super::file::LogFile;
use super::{Logs, blocking};

/// Lines that are written at once.
const BATCH: usize = 512;

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    logs: Logs,
    file: LogFile,
    entries: mpsc::Receiver<LogEntry>,
    /// What found no room on its way here.
    left_out: Arc<AtomicU64>,
    allowance: Allowance,
    /// The disk refuses lines, and this was said.
    is_refused: bool,
}

impl Writer {
    pub(super) fn new(
        logs: Logs,
        file: LogFile,
        entries: mpsc::Receiver<LogEntry>,
        left_out: Arc<AtomicU64>,
    ) -> Self {
        Self {
            allowance: Allowance::after(file.lines(), file.bytes()),
            logs,
            file,
            entries,
            left_out,
            is_refused: false,
        }
    }

    /// Writes until nobody has a line any more; `None` by a defect. What the kernel does not have yet
    /// is lost if this is dropped.
    pub(crate) async fn run(mut self) -> Option<Self> {
        loop {
            let mut entries = Vec::with_capacity(BATCH);
            if self.entries.recv_many(&mut entries, BATCH).await == 0 {
                return Some(self);
            }
            let written = blocking(move || {
                self.write(entries);
                Ok(self)
            });
            match written.await {
                Ok(writer) => self = writer,
                Err(error) => {
                    tracing::error!(%error, "a log is no longer written");
                    return None;
                }
            }
        }
    }

    fn write(&mut self, entries: Vec<LogEntry>) {
        let at_ms = Timestamp::now().as_millisecond();
        let lines = entries
            .into_iter()
            .map(|LogEntry { severity, text }| LogLine {
                at_ms,
                severity,
                text,
            });
        let allowance = &mut self.allowance;
        let lines: Vec<_> = lines.filter(|line| allowance.admit(line)).collect();
        self.append(&lines);
    }

    /// Writes the last line, and before it how many were left out.
    pub(crate) async fn close(mut self, severity: Severity, text: String) {
        let closed = blocking(move || {
            self.write_last(severity, text);
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "a log has no last line");
        }
    }

    fn write_last(&mut self, severity: Severity, text: String) {
        let at_ms = Timestamp::now().as_millisecond();
        let left_out = self.allowance.left_out + self.left_out.load(Ordering::Relaxed);
        let mut lines = Vec::new();
        if left_out > 0 {
            lines.push(LogLine {
                at_ms,
                severity: Severity::Warn,
                text: format!("{left_out} lines were left out of this log: there were too many"),
            });
        }
        lines.push(LogLine {
            at_ms,
            severity,
            text,
        });
        self.append(&lines);
    }

    fn append(&mut self, lines: &[LogLine]) {
        match self.file.append(lines) {
            Ok(()) => self.is_refused = false,
            Err(error) => {
                self.allowance.left_out += lines.len() as u64;
                if !std::mem::replace(&mut self.is_refused, true) {
                    tracing::error!(task_execution_id = self.file.execution().id(), %error,
                        "lines of the execution's log are left out");
                }
            }
        }
        self.logs.written(&self.file);
    }
}

/// However the execution ends: closed, moved, panicked or stopped.
impl Drop for Writer {
    fn drop(&mut self) {
        self.logs.left(self.file.execution().id());
    }
}
