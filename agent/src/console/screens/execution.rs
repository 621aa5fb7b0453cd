//! The execution that runs, or the last one that ended.

use datasync_model::{ExecutionReport, ExecutionStatus};
use indicatif::HumanBytes;

use super::super::app::Agent;
use super::super::page::Line;
use crate::progress_line::band;

/// Columns of the bar.
const BAR: u64 = 30;

pub(in super::super) fn lines(agent: &Agent) -> Vec<Line> {
    let snapshot = match agent {
        Agent::Unknown => return vec![Line::plain("Asking the agent...")],
        Agent::Down(reason) => {
            return vec![Line::fail(format!("The agent is not running: {reason}"))];
        }
        Agent::Up(snapshot) => snapshot,
    };
    let Some(first) = snapshot.executions.first() else {
        return vec![Line::plain("No execution is on this agent.")];
    };
    let mut lines = one(first);
    let others = snapshot.executions.iter().skip(1);
    let waiting = others.filter(|report| !report.status.is_terminal()).count();
    if waiting > 0 {
        lines.push(Line::plain(""));
        lines.push(Line::plain(format!("{waiting} more on this agent.")));
    }
    lines
}

fn one(report: &ExecutionReport) -> Vec<Line> {
    let (counters, telemetry) = (&report.counters, &report.telemetry);
    let mut lines = Vec::new();
    let mut push =
        |name: &str, value: String| lines.push(Line::plain(format!("{name:<12} {value}")));
    push("Execution", report.execution.id().to_owned());
    push("Status", report.status.to_string());
    push("", bar(counters.bytes_written, counters.bytes_to_transfer));
    push(
        "Files",
        format!("{} of {}", counters.transferred, counters.to_transfer),
    );
    push(
        "Data",
        format!(
            "{} of {}",
            HumanBytes(counters.bytes_written),
            HumanBytes(counters.bytes_to_transfer)
        ),
    );
    push(
        "Found",
        format!(
            "{} items, {} unchanged",
            counters.discovered, counters.unchanged
        ),
    );
    if counters.verified > 0 || report.status == ExecutionStatus::Verifying {
        push("Verified", counters.verified.to_string());
    }
    if counters.deleted > 0 {
        push("Deleted", counters.deleted.to_string());
    }
    push("Skipped", counters.skipped.to_string());
    push(
        "Failed",
        (counters.failed + counters.mismatched).to_string(),
    );
    if !report.status.is_terminal() {
        push(
            "Rate",
            format!(
                "{}/s, {} items/s",
                HumanBytes(telemetry.bytes_per_second),
                telemetry.items_per_second
            ),
        );
        let left = telemetry.time_left.as_ref().map(band);
        push("Time", left.unwrap_or_else(|| "not known yet".to_owned()));
        let bottleneck = telemetry.bottleneck.map(|what| what.to_string());
        push(
            "Held up by",
            bottleneck.unwrap_or_else(|| "nothing".to_owned()),
        );
    }
    if let Some(failure) = &report.result.failure {
        lines.push(Line::fail(failure.to_string()));
    }
    lines
}

/// How much of what is known so far is done.
fn bar(done: u64, all: u64) -> String {
    let Some(percent) = done.min(all).saturating_mul(100).checked_div(all) else {
        return format!("[{}]", ".".repeat(usize::try_from(BAR).unwrap_or_default()));
    };
    let filled = percent * BAR / 100;
    let signs = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or_default());
    format!(
        "[{}{}] {percent:>3} %",
        signs("#", filled),
        signs(".", BAR - filled)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_never_too_long() {
        assert!(bar(0, 0).starts_with("[...") && !bar(0, 0).contains('%'));
        assert!(bar(1, 2).contains("]  50 %"));
        assert_eq!(bar(9, 3).matches('#').count(), 30);
        assert!(bar(u64::MAX, u64::MAX).len() < 60);
    }
}
