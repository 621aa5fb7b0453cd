//! What a dry run found.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BytesPerSecond, Failure};

/// Requests that a run will make, without retries, besides those that the dry run made as well:
/// reading directories, listing, and asking about objects that are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlannedRequests {
    /// READ.
    pub read: u64,
    /// READLINK.
    pub readlink: u64,
    /// GETATTR, where READs do not tell that the file is as it was.
    pub getattr: u64,
    /// LOOKUP, before deletes: at most.
    pub lookup: u64,
    /// PutObject.
    pub put_object: u64,
    /// CreateMultipartUpload, and as many CompleteMultipartUpload.
    pub multipart_upload: u64,
    /// UploadPart.
    pub upload_part: u64,
    /// CopyObject, for metadata alone.
    pub copy_object: u64,
    /// HeadObject of the end check.
    pub head_object: u64,
    /// Objects to be deleted, each with a DeleteObject or in a batch.
    pub delete_object: u64,
}

impl PlannedRequests {
    /// Adds each count of `more`.
    pub fn add(&mut self, more: &Self) {
        self.read += more.read;
        self.readlink += more.readlink;
        self.getattr += more.getattr;
        self.lookup += more.lookup;
        self.put_object += more.put_object;
        self.multipart_upload += more.multipart_upload;
        self.upload_part += more.upload_part;
        self.copy_object += more.copy_object;
        self.head_object += more.head_object;
        self.delete_object += more.delete_object;
    }
}

/// What a run would do, besides what the counters say: `to_transfer`, `bytes_to_transfer`,
/// `to_delete`, `unchanged` and `skipped`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Of the items to be transferred: those of which only the metadata differs.
    pub metadata_only: u64,
    /// What it takes.
    pub requests: PlannedRequests,
    /// Why nothing would be deleted, although there is something to delete.
    pub withheld: Option<Failure>,
    /// How long the bytes take at the limits of the execution, its timetable or `BytesPerSecond`,
    /// from the end of the dry run on, in milliseconds; `None` where nothing limits them.
    pub at_limit_ms: Option<u64>,
}

/// Changes of the limit that are looked at; what is left then goes on at the mean rate of them all.
const CHANGES_MAX: u32 = 2000;

/// How long `bytes` take from `now` on, in milliseconds; `None` where nothing limits them. What is
/// sent without a limit takes no time. `limit_at` tells the limit at a time, and when there is another.
#[must_use]
pub fn time_at(
    limit_at: impl Fn(Timestamp) -> (BytesPerSecond, Option<Timestamp>),
    bytes: u64,
    now: Timestamp,
) -> Option<u64> {
    let (mut at, mut sent_milli) = (now, 0_u128);
    let wanted_milli = u128::from(bytes) * 1000;
    for _ in 0..CHANGES_MAX {
        let (limit, until) = limit_at(at);
        let Some(limit) = limit.limit().map(|limit| u128::from(limit.get())) else {
            let passed = milliseconds(now, at);
            return (passed > 0).then(|| u64::try_from(passed).unwrap_or(u64::MAX));
        };
        let left = wanted_milli.saturating_sub(sent_milli);
        let needed = left / limit;
        let until = until.filter(|until| milliseconds(at, *until) < needed);
        let Some(until) = until else {
            let all = milliseconds(now, at) + needed;
            return Some(u64::try_from(all).unwrap_or(u64::MAX));
        };
        sent_milli += milliseconds(at, until) * limit;
        at = until;
    }
    let mean = milliseconds(now, at) * wanted_milli / sent_milli.max(1);
    Some(u64::try_from(mean).unwrap_or(u64::MAX))
}

fn milliseconds(from: Timestamp, to: Timestamp) -> u128 {
    u128::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BandwidthTimetable;

    const MIB: u64 = 1 << 20;

    /// From noon of a Thursday on, in whole seconds.
    fn time(rest: i64, timetable: Option<&str>, bytes: u64) -> Option<u64> {
        let rest = BytesPerSecond::try_from(rest).unwrap();
        let timetable: Option<BandwidthTimetable> = timetable.map(|text| text.parse().unwrap());
        let limit_at = |at| match &timetable {
            Some(timetable) => timetable.limit_at(rest, at),
            None => (rest, None),
        };
        let noon = "2026-11-26T12:00:00Z".parse().unwrap();
        time_at(limit_at, bytes, noon).map(|ms| ms / 1000)
    }

    #[test]
    fn a_limit_says_how_long_it_takes() {
        assert_eq!(time(1 << 20, None, 90 * MIB), Some(90));
        assert_eq!(time(-1, None, 90 * MIB), None);
    }

    #[test]
    fn the_timetable_counts_and_not_the_option_that_is_for_the_rest() {
        let until_one = "UTC Thu 12:00-13:00 1MiB / Thu 13:00-14:00 2MiB";
        assert_eq!(time(-1, Some(until_one), 60 * MIB), Some(60));
        assert_eq!(time(-1, Some(until_one), (3600 + 7200) * MIB), Some(7200));
        // From two o'clock on nothing limits it.
        assert_eq!(time(-1, Some(until_one), 1 << 50), Some(7200));
        assert_eq!(time(-1, Some("UTC Sat 1MiB"), 1 << 50), None);
        let evening = time(10 << 20, Some("UTC 08:00-20:00 1B"), 100 * MIB + 8 * 3600);
        assert_eq!(evening, Some(8 * 3600 + 10));
    }

    #[test]
    fn a_time_beyond_all_weeks_that_are_looked_at_is_still_told() {
        let bytes = 1_000_000_000_000;
        let mean = time(1, Some("UTC 08:00-20:00 3B"), bytes).unwrap();
        assert!(mean.abs_diff(bytes / 2) < bytes / 100, "{mean}");
    }
}
