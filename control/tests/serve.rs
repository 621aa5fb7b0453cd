//! Control as its callers start it: in process, on ephemeral ports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use datasync_control::{Access, Config, ServeError, Serving, create_access_key, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_and_metrics_are_told_where_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut told = config(directory.path());
    told.telemetry_listen = Some("127.0.0.1:0".parse().unwrap());
    let shutdown = CancellationToken::new();
    let serving = serve(told.clone(), shutdown.clone()).await.unwrap();
    let address = serving.telemetry_addr.unwrap();
    for path in ["/livez", "/readyz"] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let page = get(address, "/metrics").await;
    for line in [
        "datasync_control_store_up 1",
        "datasync_control_agents{status=\"OFFLINE\"} 0",
        "datasync_control_executions{status=\"QUEUED\"} 0",
        "datasync_control_agent_sessions 0",
        "datasync_control_connections_refused_total{port=\"agents\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    for certificate in ["agents", "api", "authority"] {
        let line = format!("_expiry_timestamp_seconds{{certificate=\"{certificate}\"}} ");
        assert!(page.contains(&line), "{page}");
    }
    // The address is taken by then.
    let other = tempfile::tempdir().unwrap();
    let mut second = config(other.path());
    second.telemetry_listen = Some(address);
    let refused = serve(second, CancellationToken::new()).await.unwrap_err();
    assert!(
        refused.to_string().contains("telemetry_listen"),
        "{refused}"
    );
    shutdown.cancel();
    ended(serving).await.unwrap();
}
