//! What cuts the preparations of an execution short.

use std::path::Path;

use datasync_model::{ErrorCode, Failure};
use datasync_transfer::with_open_uploads;

use super::super::Assignment;
use super::Halt;

/// Lets a cancel or a stop cut the preparations. An earlier run of the process may have left
/// uploads open, which only the engine aborts: then the preparations go on for a while. In the end
/// they are left in `owed_aborts` to the next execution of the pair.
pub(in crate::executions) async fn interruptible<T>(
    assignment: &Assignment,
    owed_aborts: &Path,
    preparation: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Halt> {
    let begun = assignment.directory.join("journal").exists();
    let cut = if begun {
        assignment.give_up.cancelled()
    } else {
        assignment.cancel.cancelled()
    };
    tokio::select! {
        biased;
        () = assignment.stop.cancelled() => Err(Halt::Stopped),
        result = preparation => result.map_err(Halt::Failed),
        () = cut => Err(Halt::Failed(cancelled(begun, assignment, owed_aborts).await)),
    }
}

async fn cancelled(begun: bool, assignment: &Assignment, owed_aborts: &Path) -> Failure {
    if !begun {
        let detail = "the execution was cancelled before the transfer began";
        return Failure::new(ErrorCode::Cancelled, detail);
    }
    let detail = "the execution was cancelled while it could not go on";
    let failure = Failure::new(ErrorCode::Cancelled, detail);
    with_open_uploads(failure, &assignment.directory, Some(owed_aborts)).await
}
