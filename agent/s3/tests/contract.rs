//! The contract that every destination keeps, over the embedded store.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use datasync_endpoint::contract::destination_contract;
use datasync_model::{S3Location, StorageClass};
use datasync_s3::{S3Config, S3Destination};
use quickstart_store::{StoreConfig, StoreIntegrity};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

fn credentials() -> Credentials {
    Credentials::new("AKID", "SECRET", None, None, "test")
}

async fn create_bucket(endpoint: &str) {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(credentials())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client
        .create_bucket()
        .bucket("bucket")
        .send()
        .await
        .unwrap();
}

async fn open(endpoint: &str, prefix: &str) -> S3Destination {
    let arn = "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0";
    let config = S3Config {
        location: S3Location {
            arn: arn.parse().unwrap(),
            bucket: "bucket".to_owned(),
            prefix: prefix.to_owned(),
            region: None,
            endpoint: Some(endpoint.to_owned()),
            server_certificate: None,
            storage_class: StorageClass::Standard,
        },
        credentials: SharedCredentialsProvider::new(credentials()),
        object_max: None,
        request_timeout: Duration::from_secs(60),
        requests_max: 8,
    };
    S3Destination::open(config).await.unwrap()
}

async fn check(integrity: StoreIntegrity) {
    let root = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut config = StoreConfig::new(root.path()).with_access_key("AKID", "SECRET");
    config.integrity = integrity;
    let mut server = JoinSet::new();
    server.spawn(quickstart_store::serve(
        listener,
        config,
        None,
        CancellationToken::new(),
    ));
    create_bucket(&endpoint).await;
    for prefix in ["", "some/prefix/"] {
        Box::pin(destination_contract(&open(&endpoint, prefix).await)).await;
    }
}

#[tokio::test]
async fn the_contract_is_kept_over_a_store_that_checks_crc64() {
    check(StoreIntegrity::Full).await;
}

#[tokio::test]
async fn the_contract_is_kept_over_a_store_that_checks_only_md5() {
    check(StoreIntegrity::Md5Only).await;
}

#[tokio::test]
async fn the_contract_is_kept_over_a_store_that_checks_nothing() {
    check(StoreIntegrity::None).await;
}
