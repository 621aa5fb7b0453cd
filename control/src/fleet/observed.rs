//! Agents' reports against control's rows, by the model's transition table.

use datasync_model::{ExecutionEvent, ExecutionReport, ExecutionResult, ExecutionStatus, Refused};

/// The status that a row has after a report; `None` where the report changes nothing at all.
///
/// A terminal state is entered once; later reports change nothing. An agent that began anew
/// reports an earlier phase: the row keeps its status then, and takes the counters.
pub(crate) fn status_after(
    status: ExecutionStatus,
    reported: ExecutionStatus,
) -> Option<ExecutionStatus> {
    if status.is_terminal() {
        return None;
    }
    let event = match reported {
        ExecutionStatus::Queued => return None,
        ExecutionStatus::Launching => ExecutionEvent::Launch,
        ExecutionStatus::Preparing => ExecutionEvent::Prepare,
        ExecutionStatus::Transferring => ExecutionEvent::Transfer,
        ExecutionStatus::Verifying => ExecutionEvent::Verify,
        ExecutionStatus::Cancelling => ExecutionEvent::Cancel,
        // The run was over before the cancel came; the caller was promised that a cancelled
        // execution ends in ERROR (DataSync API, CancelTaskExecution).
        ExecutionStatus::Success if status == ExecutionStatus::Cancelling => ExecutionEvent::Fail,
        ExecutionStatus::Success => ExecutionEvent::Succeed,
        ExecutionStatus::Error => ExecutionEvent::Fail,
    };
    match status.apply(event) {
        Ok(next) => Some(next),
        Err(Refused::AlreadyThere | Refused::NotAllowed) => Some(status),
    }
}

/// The result to record with the status that [`status_after`] gave.
pub(crate) fn result_after(status: ExecutionStatus, report: &ExecutionReport) -> ExecutionResult {
    if status == ExecutionStatus::Error {
        report.clone().cancelled().result
    } else {
        report.result.clone()
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::{Counters, ErrorCode, Telemetry};

    use super::super::fixture;
    use super::*;
    use ExecutionStatus as S;

    #[test]
    fn an_end_is_recorded_once_and_nothing_changes_it() {
        for end in [S::Success, S::Error] {
            for reported in S::ALL {
                assert_eq!(status_after(end, *reported), None, "{end} then {reported}");
            }
        }
    }

    #[test]
    fn reports_move_forward_and_never_back() {
        let order = [
            S::Launching,
            S::Preparing,
            S::Transferring,
            S::Verifying,
            S::Success,
        ];
        for (from, status) in order.iter().enumerate().take(4) {
            for (to, reported) in order.iter().enumerate() {
                let expected = if to > from { *reported } else { *status };
                assert_eq!(status_after(*status, *reported), Some(expected));
            }
        }
        assert_eq!(status_after(S::Launching, S::Queued), None);
    }

    #[test]
    fn a_cancelled_execution_ends_in_error_whatever_the_agent_reached() {
        assert_eq!(
            status_after(S::Cancelling, S::Transferring),
            Some(S::Cancelling)
        );
        assert_eq!(status_after(S::Cancelling, S::Error), Some(S::Error));
        assert_eq!(status_after(S::Cancelling, S::Success), Some(S::Error));
        let report = ExecutionReport {
            execution: fixture::execution(1, 1).arn,
            status: S::Success,
            counters: Counters::default(),
            result: ExecutionResult::default(),
            telemetry: Telemetry::default(),
        };
        let failure = result_after(S::Error, &report).failure.unwrap();
        assert_eq!(failure.code, ErrorCode::Cancelled);
        assert_eq!(result_after(S::Success, &report).failure, None);
    }
}
