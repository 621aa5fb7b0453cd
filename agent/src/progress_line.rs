//! One line that says where an execution stands, written over and over on a terminal.

use std::time::Duration;

use datasync_model::{Bottleneck, ExecutionReport, ExecutionStatus, PhaseStatus, TimeLeft};
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// The numbers of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What is going on.
    pub status: ExecutionStatus,
    /// Whether both sides are listed to their ends: only then is it known how much there is.
    pub is_scanned: bool,
    /// Files written.
    pub files_transferred: u64,
    /// Files known to need writing, those written included.
    pub files_to_transfer: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Bytes known to need writing, those written included.
    pub bytes_to_transfer: u64,
    /// Files found to agree.
    pub files_verified: u64,
    /// Files left out on purpose.
    pub files_skipped: u64,
    /// Files that could not be written, or were found to differ.
    pub files_failed: u64,
    /// What the agent tells of its pace; `None` where only the API's numbers are known.
    pub pace: Option<Pace>,
}

/// How it goes at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes written per second.
    pub bytes_per_second: u64,
    /// Files verified per second, in the end check.
    pub files_per_second: u64,
    /// Until the end of the stage.
    pub time_left: Option<TimeLeft>,
    /// What holds it up.
    pub bottleneck: Option<Bottleneck>,
}

impl From<&ExecutionReport> for Standing {
    fn from(report: &ExecutionReport) -> Self {
        let (counters, telemetry) = (&report.counters, &report.telemetry);
        Self {
            status: report.status,
            is_scanned: report.result.prepare_status == PhaseStatus::Success,
            files_transferred: counters.transferred,
            files_to_transfer: counters.to_transfer,
            bytes_written: counters.bytes_written,
            bytes_to_transfer: counters.bytes_to_transfer,
            files_verified: counters.verified,
            files_skipped: counters.skipped,
            files_failed: counters.failed + counters.mismatched,
            pace: Some(Pace {
                bytes_per_second: telemetry.bytes_per_second,
                files_per_second: telemetry.items_per_second,
                time_left: telemetry.time_left,
                bottleneck: telemetry.bottleneck,
            }),
        }
    }
}

impl Standing {
    /// The line: phase, files, bytes, rate, time left, bottleneck. Where no pace is told, the rate
    /// is that of `elapsed`, in which everything above `bytes_before` was written.
    #[must_use]
    pub fn line(&self, bytes_before: u64, elapsed: Duration) -> String {
        let phase = self.status.as_str();
        let mut line = if self.status == ExecutionStatus::Verifying {
            format!("{phase:<12} {} files verified", self.files_verified)
        } else {
            format!(
                "{phase:<12} {} of {} files, {} of {}",
                self.files_transferred,
                self.files_to_transfer,
                HumanBytes(self.bytes_written),
                HumanBytes(self.bytes_to_transfer),
            )
        };
        for (count, what) in [
            (self.files_skipped, "skipped"),
            (self.files_failed, "failed"),
        ] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        match self.pace {
            Some(pace) => self.add_pace(&pace, &mut line),
            None if self.status == ExecutionStatus::Verifying => {}
            None => {
                let rate = rate(self.bytes_written.saturating_sub(bytes_before), elapsed);
                line.push_str(&format!(
                    ", {}/s, {}",
                    HumanBytes(rate),
                    self.time_left(rate)
                ));
            }
        }
        line
    }

    fn add_pace(&self, pace: &Pace, line: &mut String) {
        if self.status == ExecutionStatus::Verifying {
            line.push_str(&format!(", {}/s", pace.files_per_second));
        } else {
            line.push_str(&format!(", {}/s", HumanBytes(pace.bytes_per_second)));
        }
        if let Some(left) = &pace.time_left {
            line.push_str(&format!(", {}", band(left)));
        }
        if let Some(bottleneck) = pace.bottleneck {
            line.push_str(&format!(", held up by: {bottleneck}"));
        }
    }

    fn time_left(&self, rate: u64) -> String {
        let bytes_left = self.bytes_to_transfer.saturating_sub(self.bytes_written);
        match rate {
            _ if !self.is_scanned => "more to be found".to_owned(),
            _ if bytes_left == 0 => "done".to_owned(),
            0 => "time left unknown".to_owned(),
            rate => {
                let left = Duration::from_secs(bytes_left.div_ceil(rate));
                format!("{} left", HumanDuration(left))
            }
        }
    }
}

/// A band in words, with the same unit at both ends where that is possible.
pub(crate) fn band(left: &TimeLeft) -> String {
    let human = |ms| HumanDuration(Duration::from_millis(ms)).to_string();
    let low = human(left.low_ms);
    let Some(high) = left.high_ms.map(human) else {
        return format!("more than {low} left, more to be found");
    };
    if low == high {
        return format!("{low} left");
    }
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((count, unit)), Some((_, same)))
            if unit.trim_end_matches('s') == same.trim_end_matches('s') =>
        {
            format!("{count} to {high} left")
        }
        _ => format!("{low} to {high} left"),
    }
}

/// Bytes per second.
fn rate(bytes: u64, elapsed: Duration) -> u64 {
    let milliseconds = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    bytes.saturating_mul(1000) / milliseconds
}

/// The line on standard error, with a bar; nothing at all where that is no terminal.
#[derive(Debug)]
pub struct ProgressDisplay {
    bar: ProgressBar,
    /// Since when, and what was written before.
    began: Option<(Instant, u64)>,
}

impl ProgressDisplay {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        Self { bar, began: None }
    }

    /// Writes the line anew.
    pub fn show(&mut self, standing: &Standing) {
        let written = standing.bytes_written;
        let (since, before) = *self.began.get_or_insert_with(|| (Instant::now(), written));
        let planned = standing.bytes_to_transfer;
        self.bar.set_length(planned.max(1));
        let nothing_to_do = standing.is_scanned && planned == 0;
        self.bar
            .set_position(if nothing_to_do { 1 } else { written });
        self.bar.set_message(standing.line(before, since.elapsed()));
    }

    /// Takes the line away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

impl Default for ProgressDisplay {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDING: Standing = Standing {
        status: ExecutionStatus::Transferring,
        is_scanned: true,
        files_transferred: 3,
        files_to_transfer: 8,
        bytes_written: 3 << 20,
        bytes_to_transfer: 8 << 20,
        files_verified: 0,
        files_skipped: 0,
        files_failed: 0,
        pace: None,
    };

    const PACE: Pace = Pace {
        bytes_per_second: 2 << 20,
        files_per_second: 40,
        time_left: Some(TimeLeft {
            low_ms: 4_000,
            likely_ms: 5_000,
            high_ms: Some(9_000),
        }),
        bottleneck: Some(Bottleneck::UploadLatency),
    };

    #[test]
    fn the_agents_pace_comes_with_a_band_and_with_what_holds_it_up() {
        let standing = Standing {
            files_skipped: 1,
            files_failed: 2,
            pace: Some(PACE),
            ..STANDING
        };
        assert_eq!(
            standing.line(0, Duration::from_secs(3)),
            "TRANSFERRING 3 of 8 files, 3.00 MiB of 8.00 MiB, 1 skipped, 2 failed, 2.00 MiB/s, \
             4 to 9 seconds left, held up by: upload latency"
        );
        let verifying = Standing {
            status: ExecutionStatus::Verifying,
            files_verified: 7,
            pace: Some(PACE),
            ..STANDING
        };
        assert_eq!(
            verifying.line(0, Duration::ZERO),
            "VERIFYING    7 files verified, 40/s, 4 to 9 seconds left, held up by: upload latency"
        );
    }

    #[test]
    fn a_band_says_no_more_than_is_known() {
        let told = |low_ms, high_ms| {
            band(&TimeLeft {
                low_ms,
                likely_ms: low_ms,
                high_ms,
            })
        };
        assert_eq!(told(50_000, Some(600_000)), "50 seconds to 10 minutes left");
        assert_eq!(told(5_000, Some(5_200)), "5 seconds left");
        assert_eq!(
            told(5_000, None),
            "more than 5 seconds left, more to be found"
        );
    }

    #[test]
    fn the_line_says_phase_files_bytes_rate_and_time_left() {
        assert_eq!(
            STANDING.line(0, Duration::from_secs(3)),
            "TRANSFERRING 3 of 8 files, 3.00 MiB of 8.00 MiB, 1.00 MiB/s, 5 seconds left"
        );
    }

    #[test]
    fn the_rate_is_that_of_this_process() {
        let line = STANDING.line(2 << 20, Duration::from_secs(2));
        assert!(line.ends_with("512.00 KiB/s, 10 seconds left"), "{line}");
    }

    #[test]
    fn no_time_is_promised_that_nobody_knows() {
        let second = Duration::from_secs(1);
        let end = |standing: Standing| {
            let line = standing.line(0, second);
            line.rsplit_once(", ").unwrap().1.to_owned()
        };
        let is_scanned = false;
        assert_eq!(
            end(Standing {
                is_scanned,
                ..STANDING
            }),
            "more to be found"
        );
        let bytes_written = 0;
        assert_eq!(
            end(Standing {
                bytes_written,
                ..STANDING
            }),
            "time left unknown"
        );
        let bytes_written = 8 << 20;
        assert_eq!(
            end(Standing {
                bytes_written,
                ..STANDING
            }),
            "done"
        );
    }

    #[test]
    fn the_end_check_counts_what_it_verified() {
        let verifying = Standing {
            status: ExecutionStatus::Verifying,
            files_verified: 7,
            ..STANDING
        };
        assert_eq!(
            verifying.line(0, Duration::ZERO),
            "VERIFYING    7 files verified"
        );
    }
}
