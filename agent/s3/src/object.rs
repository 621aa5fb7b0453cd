//! What objects are written with, and what HEAD tells of them.

use std::collections::HashMap;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use datasync_endpoint::PosixMetadata;

use crate::sums::{Told, told};

/// How the headers of user metadata begin.
pub(crate) const USER_METADATA: &str = "x-amz-meta-";
/// Written with every object, as DataSync does.
const WRITER: (&str, &str) = ("user-agent", "aws-datasync");

/// Headers of what is written with an object, as `put` makes them without the SDK.
const HEADERS: [(&str, &str); 7] = [
    ("file-owner", "x-amz-meta-file-owner"),
    ("file-group", "x-amz-meta-file-group"),
    ("file-permissions", "x-amz-meta-file-permissions"),
    ("file-mtime", "x-amz-meta-file-mtime"),
    ("file-atime", "x-amz-meta-file-atime"),
    ("file-rdev", "x-amz-meta-file-rdev"),
    (WRITER.0, "x-amz-meta-user-agent"),
];

/// User metadata, names without `x-amz-meta-`.
fn user_metadata(metadata: &PosixMetadata) -> Vec<(&'static str, String)> {
    let mut pairs = metadata.to_pairs();
    pairs.push((WRITER.0, WRITER.1.to_owned()));
    pairs
}

/// User metadata as headers.
pub(crate) fn metadata_headers(metadata: &PosixMetadata) -> Vec<(&'static str, String)> {
    let mut pairs = user_metadata(metadata);
    for (name, _) in &mut pairs {
        if let Some((_, header)) = HEADERS.iter().find(|(own, _)| own == name) {
            *name = header;
        }
    }
    pairs
}

pub(crate) fn metadata_map(metadata: &PosixMetadata) -> HashMap<String, String> {
    user_metadata(metadata)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// `metadata` in place of the POSIX members of `found`; what else is found stays.
pub(crate) fn replaced_metadata(
    found: Option<&HashMap<String, String>>,
    metadata: &PosixMetadata,
) -> HashMap<String, String> {
    let posix = PosixMetadata {
        owner: Some(0),
        group: Some(0),
        permissions: Some(0),
        mtime: Some(datasync_endpoint::Timestamp::default()),
        atime: Some(datasync_endpoint::Timestamp::default()),
        device: Some(datasync_endpoint::DeviceNumbers { major: 0, minor: 0 }),
    };
    let names: Vec<&str> = posix.to_pairs().into_iter().map(|(name, _)| name).collect();
    let mut map: HashMap<String, String> = found
        .into_iter()
        .flatten()
        .filter(|(name, _)| !names.iter().any(|own| own.eq_ignore_ascii_case(name)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    map.extend(metadata_map(metadata));
    map
}

pub(crate) fn head_sums(head: &HeadObjectOutput) -> Told {
    told!(head, head.checksum_type())
}

pub(crate) fn head_metadata(head: &HeadObjectOutput) -> PosixMetadata {
    let pairs = head.metadata().into_iter().flatten();
    PosixMetadata::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_header() {
        let time = datasync_endpoint::Timestamp::default();
        let metadata = PosixMetadata {
            owner: Some(1),
            group: Some(2),
            permissions: Some(3),
            mtime: Some(time),
            atime: Some(time),
            device: Some(datasync_endpoint::DeviceNumbers { major: 4, minor: 5 }),
        };
        let headers = metadata_headers(&metadata);
        let expected = metadata_map(&metadata);
        assert_eq!(headers.len(), expected.len());
        for (header, value) in headers {
            let name = header.strip_prefix("x-amz-meta-").unwrap();
            assert_eq!(expected.get(name), Some(&value), "{header}");
        }
    }

    #[test]
    fn foreign_metadata_stays_and_ours_is_replaced() {
        let found = HashMap::from([
            ("File-Owner".to_owned(), "7".to_owned()),
            ("file-group".to_owned(), "7".to_owned()),
            ("colour".to_owned(), "blue".to_owned()),
        ]);
        let metadata = PosixMetadata {
            owner: Some(1),
            ..PosixMetadata::default()
        };
        let map = replaced_metadata(Some(&found), &metadata);
        let mut pairs: Vec<_> = map.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pairs.sort_unstable();
        let expected = [
            ("colour", "blue"),
            ("file-owner", "1"),
            ("user-agent", "aws-datasync"),
        ];
        assert_eq!(pairs, expected);
    }
}
