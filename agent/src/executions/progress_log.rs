//! The line of a running execution in the agent's log.

use std::time::Duration;

use datasync_model::ExecutionReport;
use tokio::time::Instant;

/// How often it is written.
const EVERY: Duration = Duration::from_secs(60);

/// Remembers when the line was written last.
#[derive(Debug, Default)]
pub(super) struct ProgressLog {
    since: Option<Instant>,
}

impl ProgressLog {
    /// Writes the line where it is due: not for the first minute.
    pub(super) fn tell(&mut self, report: &ExecutionReport, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        let (counters, telemetry) = (&report.counters, &report.telemetry);
        let left = telemetry.time_left;
        let seconds = |ms: u64| ms / 1000;
        tracing::info!(
            task_execution_id = report.execution.id(),
            status = %report.status,
            discovered = counters.discovered,
            to_transfer = counters.to_transfer,
            transferred = counters.transferred,
            verified = counters.verified,
            skipped = counters.skipped,
            failed = counters.failed + counters.mismatched,
            bytes_to_transfer = counters.bytes_to_transfer,
            bytes_written = counters.bytes_written,
            bytes_per_second = telemetry.bytes_per_second,
            seconds_left_low = left.map(|left| seconds(left.low_ms)),
            seconds_left = left.map(|left| seconds(left.likely_ms)),
            seconds_left_high = left.and_then(|left| left.high_ms).map(seconds),
            bottleneck = telemetry.bottleneck.map(|found| found.as_str()),
            event = "execution.progressed",
            "execution goes on"
        );
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_due = now.saturating_duration_since(since) >= EVERY;
        if is_due {
            self.since = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_once_a_minute() {
        let mut log = ProgressLog::default();
        let start = Instant::now();
        let due: Vec<u64> = (0..200)
            .filter(|second| log.is_due(start + Duration::from_secs(*second)))
            .collect();
        assert_eq!(due, [60, 120, 180]);
    }
}
