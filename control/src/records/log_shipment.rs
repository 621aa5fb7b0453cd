//! Logs of executions that go to CloudWatch Logs.

use datasync_model::TaskExecutionArn;
use serde::{Deserialize, Serialize};

use crate::store::Record;

/// A log of which something is to be sent; there is none once all of it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogShipment {
    pub(crate) execution: TaskExecutionArn,
    /// The log group's ARN.
    pub(crate) group_arn: String,
    /// Why it does not go on.
    pub(crate) failure: Option<String>,
}

impl Record for LogShipment {
    const KIND: &'static str = "log-shipment";

    fn id(&self) -> String {
        self.execution.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

/// The control that sends, where several share the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogSender {
    pub(crate) holder: String,
}

impl LogSender {
    /// There is one.
    pub(crate) const ID: &'static str = "cloudwatch";
}

impl Record for LogSender {
    const KIND: &'static str = "log-sender";

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
