//! A bucket as a source: what its objects are taken for, and what to do when it cannot be read.

use datasync_endpoint::{ErrorKind, ExtendedKinds};
use datasync_model::{ErrorCode, ExecutionSpec, Location, ObjectMetadata, ObjectTags};
use datasync_s3::Shape;

use super::place;
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

/// What is kept beyond POSIX metadata. Objects that are copied as they are keep theirs anyhow.
pub(crate) fn extended(spec: &ExecutionSpec) -> ExtendedKinds {
    match (&spec.source, &spec.destination) {
        (Location::S3(_), Location::S3(_)) => ExtendedKinds::default(),
        _ => ExtendedKinds::of(&spec.extensions),
    }
}

/// Why nothing can be copied between these locations: one of them lies in the other.
pub(crate) fn overlap(source: &Location, destination: &Location) -> Option<String> {
    let overlaps = match (source, destination) {
        (Location::S3(from), Location::S3(to)) => {
            let is_inside =
                from.prefix.starts_with(&to.prefix) || to.prefix.starts_with(&from.prefix);
            from.endpoint == to.endpoint && from.bucket == to.bucket && is_inside
        }
        _ => source.overlaps(destination),
    };
    overlaps.then(|| {
        let (from, to) = (place(source), place(destination));
        format!("source and destination overlap: one of {from} and {to} lies in the other")
    })
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

#[cfg(test)]
mod tests {
    use datasync_model::{S3Location, StorageClass};

    use super::*;

    fn bucket(bucket: &str, prefix: &str) -> Location {
        Location::S3(S3Location {
            arn: "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0"
                .parse()
                .unwrap(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region: None,
            endpoint: Some("http://store:9000".to_owned()),
            server_certificate: None,
            storage_class: StorageClass::Standard,
        })
    }

    #[test]
    fn prefixes_that_hold_each_other_overlap() {
        for (from, to, overlaps) in [
            (("b", "a/"), ("b", "a/"), true),
            (("b", "a/"), ("b", "a/x/"), true),
            (("b", "a/x/"), ("b", "a/"), true),
            (("b", ""), ("b", "a/"), true),
            (("b", "a/"), ("b", "ab/"), false),
            (("b", "a/"), ("c", "a/"), false),
        ] {
            let (from, to) = (bucket(from.0, from.1), bucket(to.0, to.1));
            assert_eq!(overlap(&from, &to).is_some(), overlaps, "{from:?} {to:?}");
        }
    }
}
