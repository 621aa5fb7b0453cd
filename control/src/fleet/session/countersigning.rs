//! An agent's report, countersigned while the agent has the execution.

use datasync_proto::control_message::Message as Down;
use datasync_proto::{ReportCountersigned, ReportSigned};
use tonic::Status;

use super::running::Running;
use super::send;
use crate::fleet::wall;
use crate::reports::{SigningError, checked};

const STRANGE: &str = "the agent was not told to run this execution, or it has ended";

impl Running {
    /// Answers with control's signature, or with why there is none. While the store cannot be used
    /// there is no answer: the agent asks again.
    pub(super) async fn countersign(&mut self, signed: &ReportSigned) -> Result<(), Status> {
        let proven = match checked(signed, &self.agent, &self.key) {
            Ok(proven) if self.has(&proven.statement.execution) => proven,
            Ok(_) => return self.refuse(signed, STRANGE).await,
            Err(refusal) => return self.refuse(signed, &refusal.to_string()).await,
        };
        let execution = &proven.statement.execution;
        match self.fleet.rows.countersign(&proven, wall()).await {
            Ok(answer) => {
                tracing::info!(%execution, root = %proven.statement.root,
                    key_id = answer.key_id, event = "report.countersigned", "a task report is countersigned");
                send(&self.outgoing, Down::ReportCountersigned(answer)).await
            }
            Err(error) => {
                tracing::error!(%execution, %error, "a task report cannot be countersigned");
                match error {
                    SigningError::Store(_) => Ok(()),
                    SigningError::Seal(_) | SigningError::Key(_) => {
                        let reason = format!("control cannot sign: {error}");
                        self.refuse(signed, &reason).await
                    }
                }
            }
        }
    }

    async fn refuse(&mut self, signed: &ReportSigned, reason: &str) -> Result<(), Status> {
        tracing::warn!(agent = %self.agent, reason, "a task report is not countersigned");
        let answer = ReportCountersigned {
            execution_arn: signed.execution_arn.clone(),
            root: signed.root.clone(),
            error_detail: reason.to_owned(),
            ..ReportCountersigned::default()
        };
        send(&self.outgoing, Down::ReportCountersigned(answer)).await
    }
}
