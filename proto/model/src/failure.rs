//! Named reasons for what could not be done: per item, per task, per execution.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// A closed list: the `ErrorCode` of tasks, executions and report entries.
    ErrorCode {
        /// The NFS server cannot be reached: name, address, port or firewall.
        SourceUnreachable = "SourceUnreachable",
        /// The export or the directory below it does not exist.
        SourcePathNotFound = "SourcePathNotFound",
        /// The server refuses access to an export, a directory or a file.
        SourcePermissionDenied = "SourcePermissionDenied",
        /// The server reported an input/output error or answered outside the protocol.
        SourceFault = "SourceFault",
        /// The item vanished between listing and reading.
        SourceVanished = "SourceVanished",
        /// The file changed each time it was read.
        SourceChanged = "SourceChanged",
        /// The server announces more or fewer bytes than it delivers.
        SourceSizeMismatch = "SourceSizeMismatch",
        /// A protocol version, item type or feature that is not supported.
        NotSupported = "NotSupported",
        /// The name cannot be a key of the store.
        KeyNotAllowed = "KeyNotAllowed",
        /// The file is larger than the store's largest object.
        ObjectTooLarge = "ObjectTooLarge",
        /// The metadata does not fit the store's limit.
        MetadataTooLarge = "MetadataTooLarge",
        /// The store cannot be reached.
        DestinationUnreachable = "DestinationUnreachable",
        /// The bucket does not exist.
        BucketNotFound = "BucketNotFound",
        /// The export that is written to, or the directory below it, does not exist.
        DestinationPathNotFound = "DestinationPathNotFound",
        /// The store refuses: credentials, bucket policy or missing permission.
        DestinationPermissionDenied = "DestinationPermissionDenied",
        /// The store answered with an error.
        DestinationFault = "DestinationFault",
        /// The source delivers other bytes than when it was copied, though the file has not changed.
        SourceInconsistent = "SourceInconsistent",
        /// The store's checksum differs from the one over the bytes that were read: they were damaged
        /// on the way, or nobody knows where.
        ChecksumMismatch = "ChecksumMismatch",
        /// The object is not any more what was written and vouched for.
        DestinationDamaged = "DestinationDamaged",
        /// The destination's metadata differs from the source's.
        MetadataDiffers = "MetadataDiffers",
        /// The destination has an object that the source does not have.
        FileNotAtSource = "FileNotAtSource",
        /// The source has an item that the destination does not have.
        FileNotAtDestination = "FileNotAtDestination",
        /// The manifest's object, its version or its bucket does not exist.
        ManifestFileDoesNotExist = "ManifestFileDoesNotExist",
        /// The manifest cannot be read: a missing permission, or a store that does not answer.
        ManifestFileUnreadable = "ManifestFileUnreadable",
        /// The manifest does not follow the rules; the detail names the line.
        ManifestFileInvalid = "ManifestFileInvalid",
        /// The task report is not complete at its bucket: no permission, no such bucket, a store that
        /// does not answer.
        TaskReportUploadFailed = "TaskReportUploadFailed",
        /// The execution ended before there was anything to report.
        TaskReportNotGenerated = "TaskReportNotGenerated",
        /// Credentials are missing or expired.
        CredentialsUnavailable = "CredentialsUnavailable",
        /// The agent's disk is full or failing.
        LocalStateFault = "LocalStateFault",
        /// A delete guard of `PreserveDeletedFiles=REMOVE` held deletes back.
        DeletesWithheld = "DeletesWithheld",
        /// Some items failed; the rest was transferred.
        ItemsFailed = "ItemsFailed",
        /// Everything is done, but uploads could not be aborted and may still be open.
        UploadsOpen = "UploadsOpen",
        /// So many items failed that the execution was ended; the rest was not looked at.
        TooManyFailures = "TooManyFailures",
        /// CancelTaskExecution was called.
        Cancelled = "Cancelled",
        /// A setting that cannot work; the detail says which.
        InvalidConfiguration = "InvalidConfiguration",
        /// No agent can run the task.
        AgentUnavailable = "AgentUnavailable",
        /// A defect of ours.
        Internal = "Internal",
    }
}

impl ErrorCode {
    /// Whether an execution with this code went through to its end, and left single items out or
    /// found single items that differ.
    #[must_use]
    pub fn leaves_items_out(self) -> bool {
        matches!(
            self,
            Self::ItemsFailed
                | Self::ChecksumMismatch
                | Self::MetadataDiffers
                | Self::FileNotAtSource
                | Self::FileNotAtDestination
                | Self::DeletesWithheld
        )
    }
}

/// A code and a sentence: what was wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Failure {
    /// What kind of failure.
    pub code: ErrorCode,
    /// What was wrong, where, what to do. Never holds a secret.
    pub detail: String,
}

impl Failure {
    /// A failure with its detail.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}
