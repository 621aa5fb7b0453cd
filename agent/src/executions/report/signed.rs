//! The document with the signatures of a report.

use datasync_model::{ReportObject, ReportStatement, SignedReport};

use crate::countersigning::{Answer, SigningDesk};
use crate::executions::Assignment;

/// The document over these objects, as JSON; `None` where control signs no reports. Control may be away
/// for long: other executions may begin meanwhile.
///
/// # Errors
/// Why control does not sign this one.
pub(super) async fn signed(
    desk: &SigningDesk,
    assignment: &Assignment,
    objects: Vec<ReportObject>,
) -> Result<Option<Vec<u8>>, String> {
    let execution = &assignment.spec.execution;
    let statement = ReportStatement::of(execution, &objects);
    let root = statement.root;
    assignment.turn.give_up();
    let signatures = match desk.signed(statement).await {
        Answer::Signed(signatures) => *signatures,
        Answer::Unable => {
            tracing::info!("control is of a release that signs no reports: this one is not signed");
            return Ok(None);
        }
        Answer::Refused(reason) => return Err(reason),
    };
    let document = SignedReport {
        version: SignedReport::VERSION,
        task_execution_arn: execution.clone(),
        root,
        objects,
        agent: signatures.agent,
        control: Some(signatures.control),
    };
    match serde_json::to_vec(&document) {
        Ok(json) => Ok(Some(json)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::executions::Turn;
    use crate::executions::run::tests::assignment;

    #[tokio::test(start_paused = true)]
    async fn an_execution_that_waits_for_its_signatures_holds_no_slot() {
        let directory = tempfile::tempdir().unwrap();
        let slots = Arc::new(Semaphore::new(1));
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let assignment = Assignment {
            turn: Turn::new(Some(slot)),
            ..assignment(&directory)
        };
        assert_eq!(slots.available_permits(), 0);
        // Control is away.
        let desk = SigningDesk::default();
        let waiting = signed(&desk, &assignment, Vec::new());
        assert!(
            tokio::time::timeout(Duration::from_millis(1), waiting)
                .await
                .is_err()
        );
        assert_eq!(slots.available_permits(), 1);
    }
}
