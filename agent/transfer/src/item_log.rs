//! What the log of an execution tells of each item (`LogLevel`), in DataSync's words.

mod sink;
mod text;

use std::sync::Arc;

use datasync_endpoint::Key;
use datasync_model::{ErrorCode, ExecutionSpec, Failure, LogLevel, Severity, TaskMode};

use crate::outcome::Outcome;
pub use sink::{LogEntry, LogSink};
use text::{Event, Places};

/// Makes lines and hands them over. Never waits: what finds no room is counted and left out.
#[derive(Debug, Clone)]
pub(crate) struct ItemLog {
    level: LogLevel,
    mode: TaskMode,
    places: Arc<Places>,
    sink: LogSink,
}

impl ItemLog {
    /// The log of `spec`; `None` if it has none.
    pub(crate) fn of(spec: &ExecutionSpec, sink: Option<LogSink>) -> Option<Self> {
        let level = spec.options.log_level;
        Some(Self {
            level,
            mode: spec.task_mode,
            places: Arc::new(Places::of(spec)),
            sink: sink.filter(|_| level != LogLevel::Off)?,
        })
    }

    /// The end of an item of the transfer. `is_verified`: its receipt was its verification.
    pub(crate) fn outcome(&self, key: &Key, outcome: &Outcome, is_verified: bool) {
        match outcome {
            Outcome::Unchanged { .. } => {}
            Outcome::Skipped(reason) => self.detail(|| Event {
                failure: Some(reason),
                ..Event::new("SKIP", Severity::Notice, key)
            }),
            Outcome::Failed(failed) => self.tell(&Event {
                failure: Some(&failed.failure),
                ..Event::new("TRANSFER", Severity::Error, key)
            }),
            Outcome::Transferred { write, .. } => {
                self.detail(|| Event {
                    size: Some(write.size),
                    is_metadata: !write.is_content,
                    ..Event::new("TRANSFER", Severity::Info, key)
                });
                if is_verified {
                    self.verified(key, Some(write.size), Ok(()));
                }
            }
        }
    }

    /// What became of the verification of an item.
    pub(crate) fn verified(&self, key: &Key, size: Option<u64>, result: Result<(), &Failure>) {
        match result {
            Ok(()) => self.detail(|| Event {
                size,
                ..Event::new("VERIFY", Severity::Info, key)
            }),
            Err(failure) => self.tell(&Event {
                failure: Some(failure),
                ..Event::new("VERIFY", Severity::Notice, key)
            }),
        }
    }

    /// An object that was deleted, or could not be.
    pub(crate) fn deleted(&self, key: &Key, result: Result<(), &Failure>) {
        match result {
            Ok(()) => self.detail(|| Event::new("DELETE", Severity::Info, key)),
            Err(failure) => self.tell(&Event {
                failure: Some(failure),
                ..Event::new("DELETE", Severity::Error, key)
            }),
        }
    }

    /// A line of the level TRANSFER alone.
    fn detail<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if self.level == LogLevel::Transfer {
            self.tell(&event());
        }
    }

    fn tell(&self, event: &Event<'_>) {
        let text = match self.mode {
            TaskMode::Basic => event.basic(),
            TaskMode::Enhanced => event.enhanced(&self.places),
        };
        self.sink.tell(event.severity, text);
    }
}

/// Which side lacks the item, as DataSync points at it.
fn sign(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::FileNotAtSource => ">",
        ErrorCode::FileNotAtDestination => "<",
        _ => "<>",
    }
}
