//! What strangers do at the ports: written up to a number of lines in a minute, then counted.
//! Logs are bounded, and a flood of such lines must not push out what was really done.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

const LINES_PER_MINUTE: u64 = 60;

/// Lines of a kind that strangers cause.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    minute: i64,
    written: u64,
    left_out: u64,
}

impl Strangers {
    /// Whether a line may be written: how many were left out before it; `None`: leave it out.
    pub(crate) fn admit(&mut self, now: Timestamp) -> Option<u64> {
        let minute = now.as_second().div_euclid(60);
        if minute != self.minute {
            self.minute = minute;
            self.written = 0;
        }
        if self.written >= LINES_PER_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The same for control's own log.
#[derive(Debug, Default)]
pub(crate) struct StrangerLog {
    lines: Mutex<Strangers>,
    /// All that happened, lines that were left out included.
    noted: Arc<AtomicU64>,
}

impl StrangerLog {
    /// Counts what happens in `noted` as well.
    pub(crate) fn counting(noted: Arc<AtomicU64>) -> Self {
        Self {
            lines: Mutex::default(),
            noted,
        }
    }

    /// Writes that `what` happened to a connection from `address`.
    pub(crate) fn note(&self, address: SocketAddr, what: &str, reason: &dyn Display) {
        self.noted.fetch_add(1, Ordering::Relaxed);
        let mut strangers = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = strangers.admit(Timestamp::now()) {
            tracing::info!(%address, %reason, left_out, event = "connection.refused", "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_has_its_lines_and_the_rest_is_counted() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut strangers = Strangers::default();
        for _ in 0..LINES_PER_MINUTE {
            assert_eq!(strangers.admit(at(600)), Some(0));
        }
        for second in [600, 630, 659] {
            assert_eq!(strangers.admit(at(second)), None);
        }
        assert_eq!(strangers.admit(at(660)), Some(3));
        assert_eq!(strangers.admit(at(660)), Some(0));
    }
}
