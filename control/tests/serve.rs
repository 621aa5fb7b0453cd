//! Control as its callers start it: in process, on ephemeral ports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;
use std::time::Duration;

use datasync_control::{Access, Config, ServeError, Serving, create_access_key, serve};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

fn config(state_dir: &Path) -> Config {
    let mut config = Config::new(state_dir).unwrap();
    config.api_listen = "127.0.0.1:0".parse().unwrap();
    config.agent_listen = "127.0.0.1:0".parse().unwrap();
    config
}

async fn ended(serving: Serving) -> Result<(), ServeError> {
    tokio::time::timeout(PATIENCE, serving.ended())
        .await
        .expect("control ends in time")
}

#[tokio::test]
async fn control_serves_until_it_is_told_to_stop_and_can_start_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut fingerprints = Vec::new();
    for _ in 0..2 {
        let shutdown = CancellationToken::new();
        let serving = serve(config(directory.path()), shutdown.clone())
            .await
            .unwrap();
        assert_ne!(serving.api_addr.port(), 0);
        assert_ne!(serving.agent_addr, serving.api_addr);
        assert!(serving.ca_pem_path.is_file());
        fingerprints.push(serving.ca_fingerprint.clone());
        // Administration works while control serves.
        create_access_key(directory.path(), None, Access::Full)
            .await
            .unwrap();
        for address in [serving.api_addr, serving.agent_addr] {
            tokio::net::TcpStream::connect(address).await.unwrap();
        }
        shutdown.cancel();
        ended(serving).await.unwrap();
    }
    assert_eq!(fingerprints[0], fingerprints[1]);
}

#[tokio::test]
async fn one_state_directory_is_served_once() {
    let directory = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let serving = serve(config(directory.path()), shutdown.clone())
        .await
        .unwrap();
    let second = serve(config(directory.path()), CancellationToken::new()).await;
    let error = second.unwrap_err().to_string();
    assert!(error.contains("another datasync-control"), "{error}");
    shutdown.cancel();
    ended(serving).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut busy = config(directory.path());
    busy.api_listen = taken.local_addr().unwrap();
    let error = serve(busy, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }), "{error}");
    let file = directory.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let error = serve(config(&file.join("state")), CancellationToken::new()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("a-file"), "{error}");
}
