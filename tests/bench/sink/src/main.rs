//! A sink for benchmarks: answers as S3 does, keeps size, `ETag` and metadata of every object and
//! throws the content away, so that the clients are what is measured.
//!
//! Signatures are not checked. A CRC-64/NVME is, because clients ask first whether it would be.

mod answer;
mod listing;
mod objects;
mod query;
mod receive;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use answer::Sink;

/// An S3 sink for benchmarks: keeps no content. Prints `listening ADDRESS` when it is ready.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Arguments::parse().listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-sink: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening {}", listener.local_addr()?);
    let sink = Arc::new(Sink::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let sink = Arc::clone(&sink);
                connections.spawn(async move {
                    let service = service_fn(move |request| Arc::clone(&sink).answer(request));
                    // A client that hangs up is not an event here: what it left is counted.
                    http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
            Some(_) = connections.join_next() => {}
            stopped = tokio::signal::ctrl_c() => return stopped,
        }
    }
}
