//! Tasks that were deleted and have executions left.

use datasync_model::TaskArn;
use serde::{Deserialize, Serialize};

use crate::store::Record;

/// A task whose executions are still to be forgotten; nobody is shown them any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeletedTask {
    pub(crate) arn: TaskArn,
}

impl Record for DeletedTask {
    const KIND: &'static str = "deleted-task";

    fn id(&self) -> String {
        self.arn.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
