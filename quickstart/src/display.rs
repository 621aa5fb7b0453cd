//! Live progress of an execution.

use std::time::Duration;

use aws_sdk_datasync::operation::describe_task_execution::DescribeTaskExecutionOutput;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// One line that is written over and over: phase, files, bytes, rate, time left.
pub(crate) struct Display {
    bar: ProgressBar,
    began: Instant,
}

impl Display {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            began: Instant::now(),
        }
    }

    pub(crate) fn show(&self, execution: &DescribeTaskExecutionOutput) {
        let planned = positive(execution.estimated_bytes_to_transfer());
        let written = positive(execution.bytes_written());
        let elapsed = self.began.elapsed();
        self.bar.set_length(planned.max(1));
        self.bar
            .set_position(if planned == 0 { 1 } else { written });
        let phase = execution.status().map_or("?", |status| status.as_str());
        self.bar.set_message(format!(
            "{phase:<12} {} of {} files, {} of {}, {}/s, {}",
            positive(execution.files_transferred()),
            positive(execution.estimated_files_to_transfer()),
            HumanBytes(written),
            HumanBytes(planned),
            HumanBytes(rate(written, elapsed)),
            time_left(planned.saturating_sub(written), written, elapsed),
        ));
    }

    pub(crate) fn end(self) {
        self.bar.finish();
    }
}

fn positive(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Bytes per second.
fn rate(bytes: u64, elapsed: Duration) -> u64 {
    let milliseconds = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    bytes.saturating_mul(1000) / milliseconds
}

fn time_left(bytes_left: u64, written: u64, elapsed: Duration) -> String {
    match rate(written, elapsed) {
        _ if bytes_left == 0 => "done".to_owned(),
        0 => "time left unknown".to_owned(),
        rate => format!(
            "{} left",
            HumanDuration(Duration::from_secs(bytes_left / rate))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(time_left(500, 100, second), "5 seconds left");
        assert_eq!(time_left(0, 100, second), "done");
        assert_eq!(time_left(5, 0, second), "time left unknown");
    }
}
