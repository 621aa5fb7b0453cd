//! What can be asked of an execution beyond the API's options: by tags, or by flags of `copy`.

use serde::{Deserialize, Serialize};

use crate::{BandwidthTimetable, DeleteShareMax};

/// Frozen at the start of an execution. Absent members have their defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extensions {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// With `VerifyMode=POINT_IN_TIME_CONSISTENT`: read everything again, also what an earlier
    /// verification proved.
    pub verify_deep: bool,
    /// How much `PreserveDeletedFiles=REMOVE` may delete.
    pub delete_share_max: DeleteShareMax,
    /// The bandwidth by the time of the week; the option `BytesPerSecond` is for the rest.
    pub bandwidth_timetable: Option<BandwidthTimetable>,
}
