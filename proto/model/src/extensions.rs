//! What can be asked of an execution beyond its options and filters: by the API, by tags, or by flags
//! of `copy`.

use serde::{Deserialize, Serialize};

use crate::{
    Ability, Acls, BandwidthTimetable, ChecksumAlgorithm, DeleteShareMax, Manifest, NameEncoding,
    TaskReport, Xattrs,
};

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
    /// By what the store must prove every object.
    pub checksum_algorithm: ChecksumAlgorithm,
    /// What becomes of names that are no keys.
    pub name_encoding: NameEncoding,
    /// Whether access control lists are kept.
    pub acls: Acls,
    /// Whether extended attributes are kept.
    pub xattrs: Xattrs,
    /// The bandwidth by the time of the week; the option `BytesPerSecond` is for the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth_timetable: Option<BandwidthTimetable>,
    /// Transfer what is listed there, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// Write a report of what was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<TaskReport>,
}

impl Extensions {
    /// What an agent must be able to do for this.
    #[must_use]
    pub fn needs(&self) -> Vec<Ability> {
        let manifest = self.manifest.as_ref().map(|_| Ability::Manifest);
        let report = self.report.as_ref().map(|_| Ability::TaskReport);
        let timetable = self.bandwidth_timetable.as_ref();
        let timetable = timetable.map(|_| Ability::BandwidthTimetable);
        let is_automatic = self.checksum_algorithm == ChecksumAlgorithm::Automatic;
        let checksum = (!is_automatic).then_some(Ability::ChecksumAlgorithm);
        let refuses = self.name_encoding == NameEncoding::Refuse;
        let names = refuses.then_some(Ability::NameEncoding);
        let keeps_more = self.acls == Acls::Preserve || self.xattrs == Xattrs::Preserve;
        let extended = keeps_more.then_some(Ability::ExtendedMetadata);
        [manifest, report, timetable, checksum, names, extended]
            .into_iter()
            .flatten()
            .collect()
    }
}
