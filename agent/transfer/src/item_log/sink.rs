//! The way of lines out of the engine: bounded, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datasync_model::Severity;
use tokio::sync::mpsc;

/// Lines on their way to whoever writes them: a fifth of a second at ten thousand items a second.
const WAITING_MAX: usize = 2048;

/// A line without its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// How grave it is.
    pub severity: Severity,
    /// As [`datasync_model::LogLine::text`].
    pub text: String,
}

/// Takes the lines of one execution. Clones share it.
#[derive(Debug, Clone)]
pub struct LogSink {
    sender: mpsc::Sender<LogEntry>,
    left_out: Arc<AtomicU64>,
}

impl LogSink {
    /// A sink, and what comes out of it until the sink and its clones are dropped.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<LogEntry>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let sink = Self {
            sender,
            left_out: Arc::default(),
        };
        (sink, receiver)
    }

    /// Hands a line over. Where there is no room for it, it is left out and counted.
    pub fn tell(&self, severity: Severity, text: String) {
        if self.sender.try_send(LogEntry { severity, text }).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The count of lines that were left out.
    #[must_use]
    pub fn left_out(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_finds_no_room_is_counted() {
        let (sink, mut lines) = LogSink::new();
        for number in 0..WAITING_MAX + 3 {
            sink.tell(Severity::Info, number.to_string());
        }
        assert_eq!(sink.left_out().load(Ordering::Relaxed), 3);
        drop(sink);
        let mut found = Vec::new();
        while let Some(line) = lines.recv().await {
            found.push(line.text);
        }
        assert_eq!((found.len(), found[2047].as_str()), (WAITING_MAX, "2047"));
    }
}
