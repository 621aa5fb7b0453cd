//! What objects are written with, and what HEAD tells of them.

use std::collections::HashMap;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datasync_endpoint::{Crc64, PosixMetadata};

/// Written with every object, as DataSync does.
const WRITER: (&str, &str) = ("user-agent", "aws-datasync");

/// Headers of what is written with an object, as `put` makes them without the SDK.
const HEADERS: [(&str, &str); 6] = [
    ("file-owner", "x-amz-meta-file-owner"),
    ("file-group", "x-amz-meta-file-group"),
    ("file-permissions", "x-amz-meta-file-permissions"),
    ("file-mtime", "x-amz-meta-file-mtime"),
    ("file-atime", "x-amz-meta-file-atime"),
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

/// The checksum as S3 writes it: big-endian, base64.
pub(crate) fn crc64_text(crc64: Crc64) -> String {
    BASE64.encode(crc64.0.to_be_bytes())
}

/// A full-object checksum out of an answer; a composite one (`…-N`) is none.
pub(crate) fn crc64_of(text: Option<&str>, kind: Option<&ChecksumType>) -> Option<Crc64> {
    if kind.is_some_and(|kind| *kind != ChecksumType::FullObject) {
        return None;
    }
    let bytes: [u8; 8] = BASE64.decode(text?).ok()?.try_into().ok()?;
    Some(Crc64(u64::from_be_bytes(bytes)))
}

pub(crate) fn head_crc64(head: &HeadObjectOutput) -> Option<Crc64> {
    crc64_of(head.checksum_crc64_nvme(), head.checksum_type())
}

pub(crate) fn head_metadata(head: &HeadObjectOutput) -> PosixMetadata {
    let pairs = head.metadata().into_iter().flatten();
    PosixMetadata::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_as_they_are_written() {
        let crc = Crc64::of(b"123456789");
        let text = crc64_text(crc);
        assert_eq!(text, "rosUhgp5mIg=");
        assert_eq!(crc64_of(Some(&text), None), Some(crc));
        assert_eq!(
            crc64_of(Some(&text), Some(&ChecksumType::FullObject)),
            Some(crc)
        );
        assert_eq!(crc64_of(Some(&text), Some(&ChecksumType::Composite)), None);
        assert_eq!(crc64_of(Some("rosUhgp5mIg=-2"), None), None);
        assert_eq!(crc64_of(Some("AAAA"), None), None);
    }

    #[test]
    fn every_name_has_its_header() {
        let time = datasync_endpoint::Timestamp::default();
        let metadata = PosixMetadata {
            owner: Some(1),
            group: Some(2),
            permissions: Some(3),
            mtime: Some(time),
            atime: Some(time),
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
