//! How much of a log there may be. Pure.

use datasync_model::{LOG_BYTES_MAX, LOG_LINES_MAX, LogLine, Severity};

/// The share that lines about what was done leave to warnings and errors.
const RESERVE: u64 = 8;
/// The last lines, which say how it ended.
pub(super) const LAST_LINES: u64 = 2;

/// What the log of one execution holds, and what was left out of it by this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    lines: u64,
    bytes: u64,
    pub(super) left_out: u64,
}

impl Allowance {
    /// For a log with so much in it.
    pub(super) fn after(lines: u64, bytes: u64) -> Self {
        Self {
            lines,
            bytes,
            left_out: 0,
        }
    }

    /// Whether there is room for `line`; it counts as written then, and else as left out.
    pub(super) fn admit(&mut self, line: &LogLine) -> bool {
        let (mut lines_max, mut bytes_max) = (LOG_LINES_MAX - LAST_LINES, LOG_BYTES_MAX);
        if matches!(line.severity, Severity::Info | Severity::Notice) {
            lines_max -= LOG_LINES_MAX / RESERVE;
            bytes_max -= LOG_BYTES_MAX / RESERVE;
        }
        let bytes = self.bytes + line.size();
        if self.lines >= lines_max || bytes > bytes_max {
            self.left_out += 1;
            return false;
        }
        self.lines += 1;
        self.bytes = bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(severity: Severity, length: usize) -> LogLine {
        LogLine {
            at_ms: 0,
            severity,
            text: "x".repeat(length),
        }
    }

    fn admitted(allowance: &mut Allowance, line: &LogLine) -> u64 {
        (0..LOG_LINES_MAX + 1000)
            .filter(|_| allowance.admit(line))
            .count() as u64
    }

    #[test]
    fn the_number_of_lines_is_bounded_and_errors_have_a_reserve() {
        let mut allowance = Allowance::default();
        let told = admitted(&mut allowance, &line(Severity::Info, 1));
        assert_eq!(told, LOG_LINES_MAX - LOG_LINES_MAX / 8 - LAST_LINES);
        let errors = admitted(&mut allowance, &line(Severity::Error, 1));
        assert_eq!(told + errors, LOG_LINES_MAX - LAST_LINES);
        assert_eq!(
            told + errors + allowance.left_out,
            2 * (LOG_LINES_MAX + 1000)
        );
    }

    #[test]
    fn the_bytes_are_bounded_too_and_a_restart_goes_on_counting() {
        let long = line(Severity::Info, 10_000);
        let mut allowance = Allowance::default();
        let told = admitted(&mut allowance, &long);
        assert_eq!(told, (LOG_BYTES_MAX - LOG_BYTES_MAX / 8) / long.size());
        let mut again = Allowance::after(told, told * long.size());
        assert!(!again.admit(&long));
        assert!(again.admit(&line(Severity::Warn, 10_000)));
    }
}
