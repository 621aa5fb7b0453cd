//! The document with the signatures of a report.

use datasync_model::{ReportObject, ReportStatement, SignedReport, TaskExecutionArn};

use crate::countersigning::{Answer, SigningDesk};

/// The document over these objects, as JSON; `None` where control signs no reports.
///
/// # Errors
/// Why control does not sign this one.
pub(super) async fn signed(
    desk: &SigningDesk,
    execution: &TaskExecutionArn,
    objects: Vec<ReportObject>,
) -> Result<Option<Vec<u8>>, String> {
    let statement = ReportStatement::of(execution, &objects);
    let root = statement.root;
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
