//! What objects are written with, and what HEAD tells of them.

use std::collections::HashMap;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use datasync_endpoint::{EXTENDED_NAMES, ExtendedMetadata, ObjectHeader, PosixMetadata};

use crate::sums::{Told, told};

/// How the headers of user metadata begin.
pub(crate) const USER_METADATA: &str = "x-amz-meta-";
/// Written with every object, as DataSync does.
const WRITER: (&str, &str) = ("user-agent", "aws-datasync");

/// Headers of what is written with an object, as `put` makes them without the SDK.
const HEADERS: [(&str, &str); 9] = [
    ("file-owner", "x-amz-meta-file-owner"),
    ("file-group", "x-amz-meta-file-group"),
    ("file-permissions", "x-amz-meta-file-permissions"),
    ("file-mtime", "x-amz-meta-file-mtime"),
    ("file-atime", "x-amz-meta-file-atime"),
    (EXTENDED_NAMES[0], "x-amz-meta-file-acl"),
    (EXTENDED_NAMES[1], "x-amz-meta-file-xattrs"),
    ("file-rdev", "x-amz-meta-file-rdev"),
    (WRITER.0, "x-amz-meta-user-agent"),
];

/// User metadata that an object takes beside what is written with every one, names and values in bytes
/// ("Working with object metadata": 2 KB in all).
pub(crate) const USER_METADATA_MAX: usize =
    2048 - USER_METADATA.len() - WRITER.0.len() - WRITER.1.len();

/// User metadata, names without `x-amz-meta-`.
fn user_metadata(
    metadata: &PosixMetadata,
    extended: Option<&ExtendedMetadata>,
) -> Vec<(&'static str, String)> {
    let mut pairs = metadata.to_pairs();
    pairs.extend(extended.map(ExtendedMetadata::to_pairs).unwrap_or_default());
    pairs.push((WRITER.0, WRITER.1.to_owned()));
    pairs
}

/// User metadata as headers.
pub(crate) fn metadata_headers(header: &ObjectHeader) -> Vec<(&'static str, String)> {
    let mut pairs = user_metadata(&header.metadata, header.extended.as_deref());
    for (name, _) in &mut pairs {
        if let Some((_, header)) = HEADERS.iter().find(|(own, _)| own == name) {
            *name = header;
        }
    }
    pairs
}

pub(crate) fn metadata_map(
    metadata: &PosixMetadata,
    extended: Option<&ExtendedMetadata>,
) -> HashMap<String, String> {
    user_metadata(metadata, extended)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// `metadata` in place of the POSIX members of `found`, and `extended` in place of its list and attributes
/// where there is any; what else is found stays.
pub(crate) fn replaced_metadata(
    found: Option<&HashMap<String, String>>,
    metadata: &PosixMetadata,
    extended: Option<&ExtendedMetadata>,
) -> HashMap<String, String> {
    let posix = PosixMetadata {
        owner: Some(0),
        group: Some(0),
        permissions: Some(0),
        mtime: Some(datasync_endpoint::Timestamp::default()),
        atime: Some(datasync_endpoint::Timestamp::default()),
        device: Some(datasync_endpoint::DeviceNumbers { major: 0, minor: 0 }),
    };
    let posix = posix.to_pairs().into_iter().map(|(name, _)| name);
    let names: Vec<&str> = posix
        .chain(EXTENDED_NAMES.into_iter().filter(|_| extended.is_some()))
        .collect();
    let mut map: HashMap<String, String> = found
        .into_iter()
        .flatten()
        .filter(|(name, _)| !names.iter().any(|own| own.eq_ignore_ascii_case(name)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    map.extend(metadata_map(metadata, extended));
    map
}

pub(crate) fn head_sums(head: &HeadObjectOutput) -> Told {
    told!(head, head.checksum_type())
}

pub(crate) fn head_metadata(head: &HeadObjectOutput) -> PosixMetadata {
    let pairs = head.metadata().into_iter().flatten();
    PosixMetadata::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
}

/// A value that is none of ours counts as absent, so that it is written anew.
pub(crate) fn head_extended(head: &HeadObjectOutput) -> Option<Box<ExtendedMetadata>> {
    let pairs = head.metadata().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
    let found = ExtendedMetadata::from_pairs(pairs).ok()?;
    (!found.is_empty()).then(|| Box::new(found))
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
        let mut extended = ExtendedMetadata {
            acl: Some("A::OWNER@:r".parse().unwrap()),
            ..ExtendedMetadata::default()
        };
        assert!(extended.xattrs.add(b"colour", b"blue"));
        let expected = metadata_map(&metadata, Some(&extended));
        let headers = metadata_headers(&ObjectHeader {
            metadata,
            storage_class: None,
            only_if_absent: false,
            properties: None,
            extended: Some(Box::new(extended)),
        });
        assert_eq!((headers.len(), expected.len()), (9, 9));
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
        let map = replaced_metadata(Some(&found), &metadata, None);
        let mut pairs: Vec<_> = map.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pairs.sort_unstable();
        let expected = [
            ("colour", "blue"),
            ("file-owner", "1"),
            ("user-agent", "aws-datasync"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn lists_and_attributes_stay_unless_there_are_new_ones() {
        let found = HashMap::from([("File-ACL".to_owned(), "A::1:r".to_owned())]);
        let metadata = PosixMetadata::default();
        let map = replaced_metadata(Some(&found), &metadata, None);
        assert_eq!(map["file-acl"], "A::1:r");
        let none = ExtendedMetadata::default();
        let map = replaced_metadata(Some(&found), &metadata, Some(&none));
        assert!(!map.contains_key("file-acl"), "{map:?}");
        let mut new = ExtendedMetadata::default();
        assert!(new.xattrs.add(b"colour", b"blue"));
        let map = replaced_metadata(Some(&found), &metadata, Some(&new));
        assert_eq!(map["file-xattrs"], "colour=Ymx1ZQ==");
    }
}
