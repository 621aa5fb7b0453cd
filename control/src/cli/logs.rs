//! `logs`: the log of an execution on standard output, what is to be said of it on standard error.

use std::io::{self, Write};

use datasync_model::{LogLevel, LogLine, TaskExecutionArn};
use jiff::Timestamp;
use serde_json::json;

use super::{CliError, io_error};
use crate::admin::AdminError;
use crate::logs::{About, about, next};
use crate::state::{State, StatePlace};

/// Prints it, as text or as one JSON object a line.
pub(super) async fn print(place: StatePlace, arn: &str, is_json: bool) -> Result<(), CliError> {
    let arn: TaskExecutionArn = arn
        .parse()
        .map_err(|error| AdminError::new(format!("{arn:?}: {error}")))?;
    let state = State::open(place, Timestamp::now()).map_err(AdminError::from)?;
    let found = about(&state.store, &arn).await.map_err(AdminError::from)?;
    let Some(found) = found else {
        let text = format!("there is no execution {arn}: it was pruned, or its task deleted");
        return Err(AdminError::new(text).into());
    };
    let cannot = "standard output cannot be written";
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut after = None;
    while let Some((number, lines)) = next(&state.store, arn.id(), after)
        .await
        .map_err(AdminError::from)?
    {
        after = Some(number);
        for line in lines {
            writeln!(out, "{}", shown(&line, is_json)).map_err(io_error(cannot))?;
        }
    }
    out.flush().map_err(io_error(cannot))?;
    for note in notes(&found, after.is_some()) {
        writeln!(io::stderr(), "datasync-control: {note}")
            .map_err(io_error("standard error cannot be written"))?;
    }
    Ok(())
}

fn shown(line: &LogLine, is_json: bool) -> String {
    let time = Timestamp::from_millisecond(line.at_ms).unwrap_or_default();
    let time = format!("{time:.3}");
    if is_json {
        json!({"time": time, "severity": line.severity, "message": line.text}).to_string()
    } else {
        format!("{time} {line}")
    }
}

fn notes(found: &About, has_lines: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !has_lines && found.level == LogLevel::Off {
        notes.push("the execution has no log: its LogLevel is OFF".to_owned());
    } else if !has_lines && found.agent_is_able == Some(false) {
        notes.push("the agent keeps no logs: update it".to_owned());
    }
    if found.left_out > 0 {
        notes.push(format!(
            "{} lines were left out: there were too many",
            found.left_out
        ));
    }
    if let (Some(group), Some(failure)) = (&found.group_arn, &found.failure) {
        notes.push(format!("the log does not get to {group}: {failure}"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use datasync_model::Severity;

    use super::*;

    #[test]
    fn a_line_is_shown_with_its_time() {
        let line = LogLine {
            at_ms: 1_770_000_000_007,
            severity: Severity::Error,
            text: "x".to_owned(),
        };
        assert_eq!(shown(&line, false), "2026-02-02T02:40:00.007Z [ERROR] x");
        let expected =
            json!({"time": "2026-02-02T02:40:00.007Z", "severity": "ERROR", "message": "x"});
        assert_eq!(shown(&line, true), expected.to_string());
    }

    #[test]
    fn what_is_missing_is_said_with_the_reason() {
        let mut found = About {
            level: LogLevel::Off,
            left_out: 0,
            group_arn: Some("arn".to_owned()),
            failure: None,
            agent_is_able: Some(false),
        };
        assert_eq!(
            notes(&found, false),
            ["the execution has no log: its LogLevel is OFF"]
        );
        found.level = LogLevel::Basic;
        found.failure = Some("AccessDenied".to_owned());
        found.left_out = 3;
        let all = notes(&found, false);
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], "the log does not get to arn: AccessDenied");
        assert_eq!(notes(&found, true).len(), 2);
    }
}
