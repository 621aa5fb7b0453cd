//! A bucket as a source: what its objects are taken for, and what to do when it cannot be read.

use datasync_endpoint::ErrorKind;
use datasync_model::{ErrorCode, ExecutionSpec, Location, ObjectMetadata, ObjectTags};
use datasync_s3::Shape;

use crate::credentials::Giver;

/// What the source's objects are taken for, if it has objects.
pub(crate) fn shape(spec: &ExecutionSpec) -> Shape {
    match spec.destination {
        Location::S3(_) => Shape::Objects {
            metadata: spec.options.object_metadata == ObjectMetadata::Preserve,
            tags: spec.options.object_tags == ObjectTags::Preserve,
        },
        Location::Nfs(_) | Location::Efs(_) => Shape::Files,
    }
}

/// A failure to open or to use it, and what to do.
pub(super) fn advice(kind: ErrorKind, giver: Giver) -> (ErrorCode, &'static str) {
    match kind {
        ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Busy => (
            ErrorCode::SourceUnreachable,
            "check the endpoint's name and port, its certificate, and that the agent may reach it",
        ),
        ErrorKind::ContainerNotFound | ErrorKind::NotFound | ErrorKind::Stale => (
            ErrorCode::SourcePathNotFound,
            "correct the location's bucket, endpoint or region",
        ),
        ErrorKind::PermissionDenied => (
            ErrorCode::SourcePermissionDenied,
            "allow the key or role to list the bucket and to get its objects and their tags",
        ),
        ErrorKind::Credentials => (ErrorCode::SourcePermissionDenied, giver.suspects()),
        ErrorKind::NotSupported => (
            ErrorCode::NotSupported,
            "the store lacks something that reading needs",
        ),
        ErrorKind::Invalid | ErrorKind::InvalidName | ErrorKind::TooLarge => {
            (ErrorCode::InvalidConfiguration, "correct the location")
        }
        ErrorKind::BadCookie
        | ErrorKind::ServerFault
        | ErrorKind::Protocol
        | ErrorKind::ChecksumRefused
        | ErrorKind::Precondition
        | ErrorKind::NoSpace => (ErrorCode::SourceFault, "look at the store's log"),
    }
}
