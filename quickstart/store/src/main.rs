//! The store as a program of its own; prints one line with its address when it is ready.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use quickstart_store::{StoreConfig, StoreIntegrity, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// An S3 store over a local directory.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory that holds the buckets
    #[arg(long)]
    root: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Access key, as ID:SECRET; may be given several times
    #[arg(long = "access-key", value_parser = access_key, required = true)]
    access_keys: Vec<(String, String)>,
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// What is done with checksums; the weaker levels imitate older stores
    #[arg(long, value_enum, default_value = "full")]
    integrity: Integrity,
    /// Sync every write to disk before it is acknowledged
    #[arg(long)]
    sync: bool,
    /// Smallest part that may be followed by another, in bytes
    #[arg(long, default_value_t = 5 * 1024 * 1024)]
    part_size_min: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Integrity {
    Full,
    Md5Only,
    None,
}

fn access_key(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
            Ok((id.to_owned(), secret.to_owned()))
        }
        _ => Err("expected ID:SECRET".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,s3s=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the store stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on {}: {error}", arguments.listen),
        )
    })?;
    writeln!(
        io::stdout(),
        "listening on http://{}",
        listener.local_addr()?
    )?;
    let config = StoreConfig {
        access_keys: arguments.access_keys,
        region: arguments.region,
        integrity: match arguments.integrity {
            Integrity::Full => StoreIntegrity::Full,
            Integrity::Md5Only => StoreIntegrity::Md5Only,
            Integrity::None => StoreIntegrity::None,
        },
        sync: arguments.sync,
        part_size_min: arguments.part_size_min,
        ..StoreConfig::new(arguments.root)
    };
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut serving = std::pin::pin!(serve(listener, config, None, shutdown.clone()));
    tokio::select! {
        ended = &mut serving => return ended,
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    shutdown.cancel();
    serving.await
}
