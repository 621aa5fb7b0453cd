//! Against a real store given by the environment, made for Ceph's radosgw 16: no checksums of its
//! own, no conditional writes.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use datasync_endpoint::{
    Algorithm, Crc64, Destination, ErrorKind, Integrity, Key, ListedObject, ObjectHeader,
    ObjectIdentifier, Payload, PosixMetadata, Unpaced,
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
        properties: None,
        extended: None,
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
            .set_metadata(key, &state, &changed, None)
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

fn sdk() -> aws_sdk_s3::Client {
    let credentials = Credentials::new(
        variable("ACCESS_KEY"),
        variable("SECRET_KEY"),
        None,
        None,
        "test",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(variable("ENDPOINT"))
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

#[tokio::test]
#[ignore = "needs DATASYNC_TEST_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY"]
async fn versions_are_kept_told_and_hidden_behind_markers() {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    let (sdk, bucket) = (sdk(), "versioned");
    sdk.create_bucket().bucket(bucket).send().await.unwrap();
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let enable = sdk.put_bucket_versioning().bucket(bucket);
    enable
        .versioning_configuration(enabled)
        .send()
        .await
        .unwrap();
    let mut config = config();
    config.location.bucket = bucket.to_owned();
    let destination = S3Destination::open(config).await.unwrap();
    let header = ObjectHeader {
        metadata: PosixMetadata::default(),
        storage_class: None,
        only_if_absent: false,
        properties: None,
        extended: None,
    };
    let mut versions = Vec::new();
    for (name, content) in [("a", "1"), ("a", "2"), ("b", "3")] {
        let key = Key::from_listing(name.to_owned());
        let put = destination.put(&key, &header, payload(content.as_bytes()));
        versions.push(put.await.unwrap().version_id.unwrap());
    }
    let listed = destination.list(None).await.unwrap().objects;
    assert_eq!(listed.len(), 2, "current versions only");
    delete(&destination, listed).await;
    assert!(destination.list(None).await.unwrap().objects.is_empty());
    let all = sdk.list_object_versions().bucket(bucket);
    let all = all.prefix("datasync-s3/").send().await.unwrap();
    let of = |name: &str| format!("datasync-s3/{name}");
    let mut kept: Vec<_> = all
        .versions()
        .iter()
        .filter(|version| [of("a"), of("b")].contains(&version.key().unwrap().to_owned()))
        .map(|version| version.version_id().unwrap().to_owned())
        .collect();
    kept.sort_unstable();
    versions.sort_unstable();
    assert_eq!(kept, versions, "no version is removed");
    let markers = all.delete_markers().iter();
    let latest = markers.filter(|marker| marker.is_latest() == Some(true));
    let hidden = [of("a"), of("b")];
    let marked = latest.filter(|marker| hidden.contains(&marker.key().unwrap().to_owned()));
    assert_eq!(marked.count(), 2);
}

#[tokio::test]
#[ignore = "needs DATASYNC_TEST_S3_ENDPOINT, _BUCKET (existing), _ACCESS_KEY, _SECRET_KEY"]
async fn an_old_store_is_not_used_where_sha256_is_asked_for() {
    let mut config = config();
    config.location.prefix = "datasync-s3-sha256/".to_owned();
    config.checksum = Some(Algorithm::Sha256);
    let error = S3Destination::open(config).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
}
