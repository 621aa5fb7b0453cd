//! A sink for benchmarks: answers as S3 does, keeps size, `ETag` and metadata of every object and
//! throws the content away, so that the clients are what is measured.
//!
//! Signatures are not checked. A CRC-64/NVME is, because clients ask first whether it would be.

mod answer;
mod clock;
mod counts;
mod listing;
mod metadata;
mod object_calls;
mod objects;
mod operation;
mod query;
mod receive;
mod reply;
mod tls;
mod traffic;
mod upload_calls;
mod uploads;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use answer::Sink;

/// An S3 sink for benchmarks: keeps no content. Prints `listening ADDRESS` when it is ready.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen for HTTP; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to listen for HTTPS.
    #[arg(long, requires = "authority_file")]
    tls_listen: Option<SocketAddr>,
    /// Where to write the certificate that clients of HTTPS must trust, as PEM.
    #[arg(long)]
    authority_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-sink: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn Error + Send + Sync>;

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let sink = Arc::new(Sink::default());
    let mut listeners = JoinSet::new();
    if let (Some(address), Some(file)) = (arguments.tls_listen, arguments.authority_file) {
        let (acceptor, authority) = tls::acceptor()?;
        std::fs::write(file, authority)?;
        let listener = TcpListener::bind(address).await?;
        listeners.spawn(accept(listener, Some(acceptor), Arc::clone(&sink)));
    }
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("listening {}", listener.local_addr()?);
    listeners.spawn(accept(listener, None, sink));
    tokio::select! {
        Some(ended) = listeners.join_next() => ended??,
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    Ok(())
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    sink: Arc<Sink>,
) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(connected(stream, tls.clone(), Arc::clone(&sink)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A client that hangs up is not an event here: what it left is counted.
async fn connected(stream: TcpStream, tls: Option<TlsAcceptor>, sink: Arc<Sink>) {
    match tls {
        None => answer_all(stream, sink).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                answer_all(stream, sink).await;
            }
        }
    }
}

async fn answer_all(stream: impl AsyncRead + AsyncWrite + Unpin, sink: Arc<Sink>) {
    let service = service_fn(move |request| Arc::clone(&sink).answer(request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}
