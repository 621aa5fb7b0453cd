//! Locations that were changed and have tasks that do not know it yet.

use datasync_model::LocationArn;
use serde::{Deserialize, Serialize};

use crate::store::Record;

/// A location whose tasks are still to be tried again, beginning after one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedLocation {
    pub(crate) arn: LocationArn,
    /// The id of the last task that was seen to.
    pub(crate) after: String,
}

impl Record for ChangedLocation {
    const KIND: &'static str = "changed-location";

    fn id(&self) -> String {
        self.arn.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
