//! Against a real store given by the environment, made for Ceph's radosgw 16: no checksums of its
//! own, no conditional writes.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use datasync_endpoint::{
    Crc64, Destination, Integrity, Key, ListedObject, ObjectHeader, ObjectIdentifier, Payload,
    PosixMetadata, Unpaced,
};
use datasync_model::{S3Location, StorageClass};
use datasync_s3::{S3Config, S3Destination};

fn variable(name: &str) -> String {
    std::env::var(format!("DATASYNC_TEST_S3_{name}")).unwrap()
}

fn config() -> S3Config {
    S3Config {
        location: S3Location {
            arn: "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0"
                .parse()
                .unwrap(),
            bucket: variable("BUCKET"),
            prefix: "datasync-s3/".to_owned(),
            region: None,
            endpoint: Some(variable("ENDPOINT")),
            server_certificate: None,
            storage_class: StorageClass::Standard,
        },
        credentials: SharedCredentialsProvider::new(Credentials::new(
            variable("ACCESS_KEY"),
            variable("SECRET_KEY"),
            None,
            None,
            "test",
        )),
        object_max: None,
        request_timeout: Duration::from_secs(60),
        requests_max: 8,
    }
}

fn payload(content: &[u8]) -> Payload {
    Payload {
        chunks: vec![Bytes::copy_from_slice(content)],
        length: content.len() as u64,
        crc64: Crc64::of(content),
        pace: Arc::new(Unpaced),
    }
}

async fn delete(destination: &S3Destination, listed: Vec<ListedObject>) {
    let objects: Vec<_> = listed
        .into_iter()
        .map(|object| ObjectIdentifier {
            key: object.key,
            etag: object.etag,
        })
        .collect();
    for outcome in destination.delete(&objects).await {
        outcome.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs DATASYNC_TEST_S3_ENDPOINT, _BUCKET (existing), _ACCESS_KEY, _SECRET_KEY"]
async fn an_old_store_is_recognised_and_used_by_content_md5() {
    let destination = S3Destination::open(config()).await.unwrap();
    assert_eq!(destination.abilities().integrity, Integrity::Md5);
    let header = ObjectHeader {
        metadata: PosixMetadata {
            owner: Some(7),
            ..PosixMetadata::default()
        },
        storage_class: None,
        only_if_absent: false,
    };
    let names = ["a b+c", "a%2Fb", "a\u{1}\n", "d/", "é", "\u{10f7ff}"];
    let mut keys: Vec<Key> = names
        .iter()
        .map(|n| Key::from_listing((*n).to_owned()))
        .collect();
    keys.sort();
    for key in &keys {
        let receipt = destination
            .put(key, &header, payload(b"content"))
            .await
            .unwrap();
        assert!(receipt.vouched);
        let state = destination.stat(key).await.unwrap().unwrap();
        assert_eq!((state.metadata, state.crc64), (header.metadata, None));
        let mut changed = header.metadata;
        changed.owner = Some(8);
        destination
            .set_metadata(key, &state, &changed)
            .await
            .unwrap();
        let state = destination.stat(key).await.unwrap().unwrap();
        assert_eq!(state.metadata, changed);
    }
    let before = destination.calls().of("DeleteObject");
    let listed = destination.list(None).await.unwrap();
    let found: Vec<Key> = listed
        .objects
        .iter()
        .map(|object| object.key.clone())
        .collect();
    assert_eq!(found, keys);
    delete(&destination, listed.objects).await;
    assert!(destination.list(None).await.unwrap().objects.is_empty());
    // The control characters and nothing else go alone.
    let calls = destination.calls();
    assert_eq!(calls.of("DeleteObjects"), 1);
    assert_eq!(calls.of("DeleteObject"), before + 1);
    let key = Key::from_listing("parts".to_owned());
    let upload = destination.create_upload(&key, &header, 0).await.unwrap();
    assert_eq!(destination.open_uploads(&key).await.unwrap().len(), 1);
    let contents = [vec![1u8; 5 << 20], vec![2u8; 9]];
    let mut parts = Vec::new();
    for (number, content) in (1..).zip(&contents) {
        let part = destination
            .upload_part(&key, &upload, number, payload(content))
            .await;
        parts.push(part.unwrap());
    }
    let whole = Crc64::of(&contents.concat());
    let receipt = destination
        .complete_upload(&key, &upload, &header, &parts, whole)
        .await
        .unwrap();
    assert!(receipt.vouched);
    assert_eq!(destination.read_back(&key).await.unwrap().crc64, whole);
    let listed = destination.list(None).await.unwrap();
    assert_eq!(listed.objects[0].etag, receipt.etag);
    delete(&destination, listed.objects).await;
}
