//! What the two ends of a session can do beyond the first release, each in its first message.

use crate::word::words;

words! {
    /// What an agent says in its Hello that it can do beyond the first release: an execution that
    /// needs one of these is never given to an agent that does not name it.
    Ability {
        /// Executions of [`crate::Extensions::manifest`].
        Manifest = "manifest",
        /// Executions of [`crate::Extensions::report`].
        TaskReport = "task-report",
        /// Executions of [`crate::Extensions::bandwidth_timetable`].
        BandwidthTimetable = "bandwidth-timetable",
        /// Executions of [`crate::Extensions::checksum_algorithm`].
        ChecksumAlgorithm = "checksum-algorithm",
        /// Executions of [`crate::Extensions::name_encoding`].
        NameEncoding = "name-encoding",
        /// Making logs of executions; no execution needs it.
        Logs = "logs",
        /// Executions under a lease, [`crate::Tenure::leased`]; without it they do not move.
        Lease = "lease",
        /// [`crate::Location::Efs`].
        Efs = "efs",
        /// Executions whose source is a [`crate::Location::S3`].
        S3Source = "s3-source",
        /// Executions whose destination is a file system.
        FileSystemDestination = "file-system-destination",
        /// Executions of [`crate::Extensions::acls`] and [`crate::Extensions::xattrs`].
        ExtendedMetadata = "extended-metadata",
    }
}

words! {
    /// What control says in its Welcome that it can do beyond the first release: an agent asks for
    /// nothing else.
    ControlAbility {
        /// It countersigns the roots of task reports.
        CountersignReports = "countersign-reports",
        /// It keeps logs of executions.
        KeepLogs = "keep-logs",
    }
}
