//! What all these tests begin with.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use datasync_endpoint::{
    BrokenOff, Crc64, Destination, EndpointError, Key, ObjectHeader, ObjectIdentifier, PartStream,
    Payload, PosixMetadata, Timestamp, Unpaced,
};
use datasync_model::{S3Location, StorageClass};
use datasync_s3::{S3Config, S3Destination};

pub(crate) fn credentials(id: &str, secret: &str) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(id, secret, None, None, "test"))
}

pub(crate) fn config(endpoint: &str, prefix: &str) -> S3Config {
    S3Config {
        location: S3Location {
            arn: "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0"
                .parse()
                .unwrap(),
            bucket: "bucket".to_owned(),
            prefix: prefix.to_owned(),
            region: None,
            endpoint: Some(endpoint.to_owned()),
            server_certificate: None,
            storage_class: StorageClass::Standard,
        },
        credentials: credentials("AKID", "SECRET"),
        checksum: None,
        object_max: None,
        request_timeout: Duration::from_secs(60),
        requests_max: 8,
        proxy: None,
        ca_bundle: None,
        encryption: None,
        bucket_owner_full_control: false,
        requester_pays: false,
    }
}

pub(crate) fn payload(content: &[u8]) -> Payload {
    Payload {
        chunks: content
            .chunks(1 << 18)
            .map(Bytes::copy_from_slice)
            .collect(),
        length: content.len() as u64,
        crc64: Crc64::of(content),
        pace: Arc::new(Unpaced),
    }
}

pub(crate) fn streamed(chunks: Vec<Result<Bytes, BrokenOff>>, length: usize) -> PartStream {
    PartStream {
        chunks: Box::pin(futures::stream::iter(chunks)),
        length: length as u64,
        pace: Arc::new(Unpaced),
    }
}

pub(crate) fn header() -> ObjectHeader {
    ObjectHeader {
        metadata: PosixMetadata {
            owner: Some(7),
            group: Some(8),
            permissions: Some(0o100_640),
            mtime: Timestamp::from_nanoseconds(-1),
            atime: Timestamp::from_nanoseconds(5),
            device: None,
        },
        storage_class: None,
        only_if_absent: false,
        properties: None,
        extended: None,
    }
}

/// The outcome for a single object.
pub(crate) async fn delete(
    destination: &S3Destination,
    name: &str,
    etag: &str,
) -> Result<(), EndpointError> {
    let mut outcomes = destination.delete(&[identifier(name, etag)]).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

pub(crate) fn identifier(name: &str, etag: &str) -> ObjectIdentifier {
    ObjectIdentifier {
        key: key(name),
        etag: etag.to_owned(),
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::from_listing(text.to_owned())
}
