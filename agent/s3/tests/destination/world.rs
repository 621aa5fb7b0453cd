//! The embedded store.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use datasync_s3::{S3Config, S3Destination};
use quickstart_store::{Faults, StoreConfig, StoreIntegrity};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::setup;

/// The levels of integrity.
pub(crate) const STORES: [StoreIntegrity; 3] = [
    StoreIntegrity::Full,
    StoreIntegrity::Md5Only,
    StoreIntegrity::None,
];

pub(crate) struct World {
    pub(crate) endpoint: String,
    root: tempfile::TempDir,
    integrity: StoreIntegrity,
    pub(crate) faults: Arc<Faults>,
    _server: JoinSet<std::io::Result<()>>,
}

impl World {
    pub(crate) async fn start(integrity: StoreIntegrity) -> Self {
        Self::start_with(integrity, |_| {}).await
    }

    pub(crate) async fn start_with(
        integrity: StoreIntegrity,
        set: impl Fn(&mut StoreConfig),
    ) -> Self {
        let world = Self::serve(tempfile::tempdir().unwrap(), integrity, set).await;
        let sdk = world.sdk();
        sdk.create_bucket().bucket("bucket").send().await.unwrap();
        world
    }

    async fn serve(
        root: tempfile::TempDir,
        integrity: StoreIntegrity,
        set: impl Fn(&mut StoreConfig),
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut config = StoreConfig::new(root.path()).with_access_key("AKID", "SECRET");
        config.integrity = integrity;
        let faults = Arc::new(Faults::default());
        config.faults = Some(Arc::clone(&faults));
        config.region = "eu-west-7".to_owned();
        set(&mut config);
        let mut server = JoinSet::new();
        let shutdown = CancellationToken::new();
        server.spawn(quickstart_store::serve(listener, config, None, shutdown));
        Self {
            endpoint,
            root,
            integrity,
            faults,
            _server: server,
        }
    }

    /// The same objects, as if all had been written `earlier`.
    pub(crate) async fn aged(self, earlier: Duration) -> Self {
        let seconds = i64::try_from(earlier.as_secs()).unwrap();
        let records = self.root.path().join("bucket/records");
        for shard in std::fs::read_dir(records).unwrap() {
            for file in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                let (before, rest) = text.split_once("\"modified\":").unwrap();
                let (modified, after) = rest.split_once(',').unwrap();
                let modified = modified.parse::<i64>().unwrap() - seconds;
                let text = format!("{before}\"modified\":{modified},{after}");
                std::fs::write(&path, text).unwrap();
            }
        }
        Self::serve(self.root, self.integrity, |_| {}).await
    }

    pub(crate) async fn put_plainly(&self, key: &str) {
        let put = self.sdk().put_object().bucket("bucket").key(key);
        put.send().await.unwrap();
    }

    pub(crate) fn sdk(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new("eu-west-7"))
            .credentials_provider(Credentials::new("AKID", "SECRET", None, None, "test"))
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    pub(crate) fn config(&self, prefix: &str) -> S3Config {
        setup::config(&self.endpoint, prefix)
    }

    pub(crate) async fn open(&self, prefix: &str) -> S3Destination {
        S3Destination::open(self.config(prefix)).await.unwrap()
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self
            .sdk()
            .list_objects_v2()
            .bucket("bucket")
            .send()
            .await
            .unwrap();
        listed
            .contents()
            .iter()
            .map(|o| o.key().unwrap().to_owned())
            .collect()
    }
}
