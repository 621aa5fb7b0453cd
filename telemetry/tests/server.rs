//! The server of health and metrics, over TCP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datasync_telemetry::{Kind, Metric, Page, Source, listen, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

static X: Metric = Metric {
    name: "x",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    help: "One.",
};

#[derive(Debug, Default)]
struct Patient {
    stuck: AtomicBool,
}

impl Source for Patient {
    fn live(&self) -> Result<(), Vec<String>> {
        match self.stuck.load(Ordering::Relaxed) {
            true => Err(vec!["driver: stuck".to_owned()]),
            false => Ok(()),
        }
    }

    async fn ready(&self) -> Result<(), Vec<String>> {
        Err(vec!["no store".to_owned(), "no port".to_owned()])
    }

    async fn metrics(&self) -> Page {
        let mut page = Page::new(&[&X]);
        page.add(&X, &[], 1_u64);
        page
    }
}

struct World {
    address: SocketAddr,
    source: Arc<Patient>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

async fn world() -> World {
    let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (source, stop) = (Arc::<Patient>::default(), CancellationToken::new());
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::clone(&source), stop.clone()));
    World {
        address,
        source,
        stop,
        tasks,
    }
}

async fn ask(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn each_path_has_its_answer() {
    let mut world = world().await;
    for (request, status, end) in [
        ("GET /livez", "200 OK", "\r\n\r\nok\n"),
        ("GET /livez?verbose", "200 OK", "\r\n\r\nok\n"),
        ("HEAD /livez", "200 OK", "\r\n\r\n"),
        (
            "GET /readyz",
            "503 Service Unavailable",
            "\r\n\r\nno store\nno port\n",
        ),
        ("GET /metrics", "200 OK", "# TYPE x gauge\nx 1\n"),
        (
            "POST /metrics",
            "405 Method Not Allowed",
            "\r\n\r\nonly GET and HEAD\n",
        ),
        ("GET /", "404 Not Found", "and /metrics\n"),
    ] {
        let answer = ask(&world, request).await;
        let first = format!("HTTP/1.1 {status}\r\n");
        assert!(answer.starts_with(&first), "{request}: {answer}");
        assert!(answer.ends_with(end), "{request}: {answer}");
    }
    let metrics = ask(&world, "GET /metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    world.source.stuck.store(true, Ordering::Relaxed);
    let answer = ask(&world, "GET /livez").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("driver: stuck\n"), "{answer}");
    world.stop.cancel();
    world.tasks.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn whoever_says_nothing_or_too_much_is_cut_and_keeps_nobody_out() {
    let mut world = world().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(world.address).await.unwrap());
    }
    // Those that wait for a place get one when the first are cut.
    let answer = ask(&world, "GET /livez").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let long = format!("GET /livez?{}", "x".repeat(64 * 1024));
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    // It may be cut in the middle of it.
    stream.write_all(long.as_bytes()).await.ok();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok();
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(idle);
    world.stop.cancel();
    world.tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_setting() {
    let first = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = first.local_addr().unwrap();
    let refused = listen(address).await.unwrap_err().to_string();
    assert!(refused.contains(&address.to_string()), "{refused}");
    assert!(refused.contains("telemetry_listen"), "{refused}");
}
