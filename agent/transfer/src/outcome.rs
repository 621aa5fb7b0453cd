//! How an item ended, and the named reasons for what did not work.

use std::error::Error;

use datasync_endpoint::{
    Attributes, Crc64, EndpointError, ErrorKind, Key, ObjectChecksum, WithoutExtended,
};
use datasync_model::{Counters, ErrorCode, Failure};

use crate::attempts::is_endpoint_wide;
use crate::catalog::Entry;

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The destination already agrees; what that taught, if anything.
    Unchanged { learned: Option<Box<Entry>> },
    /// Written and vouched for; what is known of the object, if the store told enough.
    Transferred {
        bytes: u64,
        learned: Option<Box<Entry>>,
        write: Box<Write>,
    },
    /// Left out on purpose.
    Skipped(Failure),
    /// Not done.
    Failed(ItemFailure),
}

/// What was written, for whoever reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// Of the source's entry that it was made of.
    pub(crate) attributes: Attributes,
    /// Of the object in bytes.
    pub(crate) size: u64,
    /// Whether the content was written, not the metadata alone.
    pub(crate) is_content: bool,
    /// Of the object's content, where it is known.
    pub(crate) crc64: Option<Crc64>,
    /// What the store proved it by, where that is another.
    pub(crate) checksum: Option<ObjectChecksum>,
    /// Where the bucket is versioned and the reply came.
    pub(crate) version_id: Option<String>,
}

/// Counts of the item or object with this key: those of directories are counted apart, too.
pub(crate) fn counted(key: &Key, counts: Counters) -> Counters {
    if key.is_directory() {
        counts.of_directories()
    } else {
        counts
    }
}

/// Why an item was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemFailure {
    pub(crate) failure: Failure,
    /// The endpoint is gone, not just the item: going on makes no sense.
    pub(crate) endpoint_wide: bool,
    /// The content is in its place and proven, as are the POSIX metadata; only what goes beyond them is
    /// not as it should be.
    pub(crate) is_in_place: bool,
}

impl ItemFailure {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(code, detail),
            endpoint_wide: false,
            is_in_place: false,
        }
    }

    pub(crate) fn vanished() -> Self {
        Self::new(
            ErrorCode::SourceVanished,
            "the item is gone from the source, or was replaced",
        )
    }

    /// The file ends too early.
    pub(crate) fn short(announced: u64, delivered: u64) -> Self {
        Self::new(
            ErrorCode::SourceSizeMismatch,
            format!("the server announces {announced} bytes but delivers {delivered}"),
        )
    }

    /// The file goes on after its end.
    pub(crate) fn long(announced: u64) -> Self {
        Self::new(
            ErrorCode::SourceSizeMismatch,
            format!("the server announces {announced} bytes but delivers more"),
        )
    }

    /// The store has no room for a file of this size.
    pub(crate) fn too_large(size: u64, object_max: u64) -> Self {
        Self::new(
            ErrorCode::ObjectTooLarge,
            format!("the file has {size} bytes; the store's largest object has {object_max}"),
        )
    }

    /// Whether an endpoint did not answer at all.
    pub(crate) fn is_silence(&self) -> bool {
        let code = self.failure.code;
        matches!(
            code,
            ErrorCode::SourceUnreachable | ErrorCode::DestinationUnreachable
        )
    }

    pub(crate) fn of_source(error: &EndpointError) -> Self {
        let code = match error.kind {
            ErrorKind::NotFound | ErrorKind::Stale => ErrorCode::SourceVanished,
            ErrorKind::ContainerNotFound => ErrorCode::SourcePathNotFound,
            ErrorKind::PermissionDenied | ErrorKind::Credentials => {
                ErrorCode::SourcePermissionDenied
            }
            ErrorKind::Unreachable | ErrorKind::Timeout => ErrorCode::SourceUnreachable,
            ErrorKind::NotSupported => ErrorCode::NotSupported,
            ErrorKind::InvalidName => ErrorCode::KeyNotAllowed,
            _ => ErrorCode::SourceFault,
        };
        Self::of(code, error)
    }

    pub(crate) fn of_destination(error: &EndpointError) -> Self {
        let code = match error.kind {
            ErrorKind::ContainerNotFound => ErrorCode::BucketNotFound,
            ErrorKind::PermissionDenied => ErrorCode::DestinationPermissionDenied,
            ErrorKind::Credentials => ErrorCode::CredentialsUnavailable,
            ErrorKind::Unreachable | ErrorKind::Timeout => ErrorCode::DestinationUnreachable,
            ErrorKind::ChecksumRefused => ErrorCode::ChecksumMismatch,
            ErrorKind::InvalidName => ErrorCode::KeyNotAllowed,
            ErrorKind::TooLarge => ErrorCode::ObjectTooLarge,
            ErrorKind::NotSupported => ErrorCode::NotSupported,
            _ => ErrorCode::DestinationFault,
        };
        let is_extended = WithoutExtended::receipt(error).is_some();
        let code = match (is_extended, error.kind) {
            (true, ErrorKind::TooLarge) => ErrorCode::MetadataTooLarge,
            (true, _) => ErrorCode::MetadataDiffers,
            (false, _) => code,
        };
        Self {
            is_in_place: is_extended,
            ..Self::of(code, error)
        }
    }

    fn of(code: ErrorCode, error: &EndpointError) -> Self {
        let endpoint_wide = is_endpoint_wide(error.kind);
        let detail = match error.kind {
            ErrorKind::ChecksumRefused => format!("damaged on the way: {}", chain(error)),
            _ => chain(error),
        };
        Self {
            failure: Failure::new(code, detail),
            endpoint_wide,
            is_in_place: false,
        }
    }
}

/// The code of an execution that went through to its end and whose verification found these kinds of
/// differences, and nothing else that it has to complain of.
pub(crate) fn difference(kinds: &[ErrorCode]) -> ErrorCode {
    let is_content = |kind: &ErrorCode| {
        matches!(
            kind,
            ErrorCode::ChecksumMismatch
                | ErrorCode::DestinationDamaged
                | ErrorCode::SourceInconsistent
                | ErrorCode::SourceSizeMismatch
                | ErrorCode::SourceChanged
        )
    };
    match kinds {
        kinds if kinds.iter().any(is_content) => ErrorCode::ChecksumMismatch,
        [only] if only.leaves_items_out() => *only,
        _ => ErrorCode::ItemsFailed,
    }
}

/// An error with its sources, each once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Outcome {
    /// What the end of an item of `planned` bytes adds to the counters.
    pub(crate) fn counters(&self, planned: Option<u64>) -> Counters {
        let mut add = Counters {
            discovered: 1,
            ..Counters::default()
        };
        if let Some(bytes) = planned {
            add.to_transfer = 1;
            add.bytes_to_transfer = bytes;
        }
        match self {
            Self::Unchanged { .. } => add.unchanged = 1,
            Self::Transferred { bytes, .. } => {
                add.transferred = 1;
                add.bytes_written = *bytes;
            }
            Self::Skipped(_) => add.skipped = 1,
            Self::Failed(_) => add.failed = 1,
        }
        add
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_named_after_its_differences() {
        use ErrorCode as C;
        let table: [(&[ErrorCode], ErrorCode); 8] = [
            (&[C::MetadataDiffers], C::MetadataDiffers),
            (&[C::FileNotAtSource], C::FileNotAtSource),
            (&[C::FileNotAtDestination], C::FileNotAtDestination),
            (&[C::DestinationDamaged], C::ChecksumMismatch),
            (
                &[C::MetadataDiffers, C::SourceInconsistent],
                C::ChecksumMismatch,
            ),
            (&[C::MetadataDiffers, C::FileNotAtSource], C::ItemsFailed),
            (&[C::SourcePermissionDenied], C::ItemsFailed),
            (&[], C::ItemsFailed),
        ];
        for (kinds, code) in table {
            assert_eq!(difference(kinds), code, "{kinds:?}");
            assert!(code.leaves_items_out());
        }
    }
}
