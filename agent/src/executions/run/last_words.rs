//! What the log of an execution says of the whole: its beginning, its pauses and its end.

use datasync_model::{ExecutionReport, ExecutionSpec, ExecutionStatus, Severity, TaskMode};
use serde_json::{Value, json};

use super::Halt;

/// As free text in BASIC mode, as a JSON object in ENHANCED mode.
fn line(spec: &ExecutionSpec, text: String, object: Value) -> String {
    match spec.task_mode {
        TaskMode::Basic => text,
        TaskMode::Enhanced => object.to_string(),
    }
}

/// The agent takes the execution up, for the first time or again.
pub(super) fn begun(spec: &ExecutionSpec) -> String {
    let id = spec.execution.id();
    let text = format!("Execution {id} is taken up");
    line(
        spec,
        text,
        json!({"Action": "START", "TaskExecutionId": id}),
    )
}

/// It does not go on for now.
pub(super) fn halted(spec: &ExecutionSpec, halt: &Halt) -> Option<String> {
    let why = match halt {
        // The end tells more.
        Halt::Failed(_) | Halt::Stopped => return None,
        Halt::Expired => "the credentials expired and no others have come".to_owned(),
        Halt::LeaseOver => "control was not heard of for the length of a lease".to_owned(),
        Halt::LocalState(failure) | Halt::Stalled(failure) => failure.to_string(),
    };
    let why: String = why.chars().filter(|c| !c.is_control()).collect();
    let id = spec.execution.id();
    let text = format!("Execution {id} is paused: {why}");
    let object = json!({"Action": "PAUSE", "TaskExecutionId": id, "ErrorDetail": why});
    Some(line(spec, text, object))
}

/// The last line; `None` of an execution that goes on later, on this agent.
pub(super) fn last(
    spec: &ExecutionSpec,
    report: Option<&ExecutionReport>,
    is_released: bool,
) -> Option<(Severity, String)> {
    match report {
        Some(report) => Some(ended(spec, report)),
        None if is_released => Some((Severity::Warn, released(spec))),
        None => None,
    }
}

fn released(spec: &ExecutionSpec) -> String {
    let id = spec.execution.id();
    let text = format!("Execution {id} is given to another agent; this one has let it go");
    line(spec, text, json!({"Action": "MOVE", "TaskExecutionId": id}))
}

fn ended(spec: &ExecutionSpec, report: &ExecutionReport) -> (Severity, String) {
    let (id, counters) = (spec.execution.id(), &report.counters);
    let (severity, word) = match report.status {
        ExecutionStatus::Success => (Severity::Info, "Success"),
        _ => (Severity::Error, "Error"),
    };
    let mut text = format!(
        "Execution {id} finished with status {word}: {} transferred, {} bytes, {} verified, {} skipped, \
         {} failed, {} deleted",
        counters.transferred,
        counters.bytes_written,
        counters.verified,
        counters.skipped,
        counters.failed,
        counters.deleted,
    );
    let mut object = json!({"Action": "END", "TaskExecutionId": id, "Status": report.status});
    if let Some(failure) = &report.result.failure {
        let detail: String = failure.detail.chars().filter(|c| !c.is_control()).collect();
        text.push_str(&format!("; {}: {detail}", failure.code));
        object["ErrorCode"] = failure.code.as_str().into();
        object["ErrorDetail"] = detail.into();
    }
    (severity, line(spec, text, object))
}

#[cfg(test)]
mod tests {
    use datasync_model::{ErrorCode, Failure};

    use super::*;
    use crate::executions::{failed, tests};

    #[test]
    fn a_pause_is_told_with_its_reason_and_a_stop_not_at_all() {
        let spec = tests::spec(1);
        let told = |halt| halted(&spec, &halt).unwrap_or_default();
        assert!(told(Halt::Expired).contains("credentials expired"));
        let lease = told(Halt::LeaseOver);
        assert!(lease.contains("length of a lease"), "{lease}");
        assert_eq!(told(Halt::Stopped), "");
    }

    #[test]
    fn an_execution_that_moves_has_a_last_line_and_one_that_stops_has_none() {
        let spec = tests::spec(1);
        assert_eq!(last(&spec, None, false), None);
        let (severity, text) = last(&spec, None, true).unwrap();
        assert_eq!(severity, Severity::Warn);
        assert!(text.contains("given to another agent"), "{text}");
    }

    #[test]
    fn the_end_is_told_in_the_form_of_the_mode() {
        let mut spec = tests::spec(1);
        let failure = Failure::new(ErrorCode::ItemsFailed, "two\nitems");
        let report = failed(spec.execution.clone(), failure);
        let (severity, text) = ended(&spec, &report);
        assert_eq!(severity, Severity::Error);
        assert!(
            text.contains("finished with status Error: 0 transferred"),
            "{text}"
        );
        assert!(text.ends_with("; ItemsFailed: twoitems"), "{text}");
        spec.task_mode = TaskMode::Enhanced;
        let object: Value = serde_json::from_str(&ended(&spec, &report).1).unwrap();
        assert_eq!(
            (&object["Action"], &object["ErrorCode"]),
            (&json!("END"), &json!("ItemsFailed"))
        );
    }
}
