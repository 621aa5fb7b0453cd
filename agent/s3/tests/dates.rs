//! The time that the embedded store tells with its answers, through the SDK and without it.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use datasync_endpoint::{
    Crc64, Destination, Key, ObjectHeader, Payload, PosixMetadata, Receipt, Unpaced,
};
use datasync_model::{S3Location, StorageClass};
use datasync_s3::{S3Config, S3Destination};
use quickstart_store::StoreConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

fn config(endpoint: String) -> S3Config {
    let arn = "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0";
    let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
    S3Config {
        location: S3Location {
            arn: arn.parse().unwrap(),
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            region: None,
            endpoint: Some(endpoint),
            server_certificate: None,
            storage_class: StorageClass::Standard,
        },
        credentials: SharedCredentialsProvider::new(credentials),
        object_max: None,
        request_timeout: Duration::from_secs(60),
        requests_max: 8,
    }
}

async fn create_bucket(config: &S3Config) {
    let sdk = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(config.credentials.clone())
        .endpoint_url(config.location.endpoint.clone().unwrap())
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = aws_sdk_s3::Client::from_conf(sdk);
    client
        .create_bucket()
        .bucket("bucket")
        .send()
        .await
        .unwrap();
}

fn payload(length: usize) -> Payload {
    let content = vec![7; length];
    Payload {
        length: length as u64,
        crc64: Crc64::of(&content),
        chunks: vec![content.into()],
        pace: Arc::new(Unpaced),
    }
}

const HEADER: ObjectHeader = ObjectHeader {
    metadata: PosixMetadata {
        owner: None,
        group: None,
        permissions: None,
        mtime: None,
        atime: None,
    },
    storage_class: None,
    only_if_absent: false,
};

fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test]
async fn every_way_to_write_tells_the_stores_time() {
    let root = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let store = StoreConfig::new(root.path()).with_access_key("AKID", "SECRET");
    let mut server = JoinSet::new();
    let stop = CancellationToken::new();
    server.spawn(quickstart_store::serve(listener, store, None, stop));
    let config = config(endpoint);
    create_bucket(&config).await;
    let destination = S3Destination::open(config).await.unwrap();
    let key = Key::from_listing("a".to_owned());

    let began = seconds(SystemTime::now());
    let mut receipts: Vec<Receipt> = Vec::new();
    // Small bodies go without the SDK.
    for length in [10, 2 << 20] {
        let put = destination.put(&key, &HEADER, payload(length)).await;
        receipts.push(put.unwrap());
    }
    let found = destination.stat(&key).await.unwrap().unwrap();
    let metadata = PosixMetadata {
        owner: Some(1),
        ..HEADER.metadata
    };
    let set = destination.set_metadata(&key, &found, &metadata).await;
    receipts.push(set.unwrap());
    let upload = destination.create_upload(&key, &HEADER, 3).await.unwrap();
    let part = destination.upload_part(&key, &upload, 1, payload(3)).await;
    let (parts, whole) = ([part.unwrap()], payload(3).crc64);
    let completed = destination
        .complete_upload(&key, &upload, &HEADER, &parts, whole)
        .await;
    receipts.push(completed.unwrap());
    let ended = seconds(SystemTime::now());
    for receipt in receipts {
        let date = receipt.date.unwrap().seconds;
        // A server may keep its clock's second for the next request.
        assert!(
            (began - 1..=ended + 1).contains(&date),
            "{began} {date} {ended}"
        );
    }
}
