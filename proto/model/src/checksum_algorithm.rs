//! By which checksum a store must prove what it is sent.

use crate::word::words;

words! {
    /// Not DataSync's: S3's words, and one for leaving the choice to the agent.
    #[derive(Default)]
    ChecksumAlgorithm {
        /// The first that the store checks of CRC-64/NVME, CRC-32C and Content-MD5, else reading back.
        #[default]
        Automatic = "AUTOMATIC",
        /// SHA-256 of objects and parts, or nothing is transferred.
        Sha256 = "SHA256",
    }
}

impl ChecksumAlgorithm {
    /// The tag of a task, or of StartTaskExecution, that says it.
    pub const TAG: &str = "datasync:checksum-algorithm";
}
