//! The server as a program of its own; prints one line with its address when it is ready.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use quickstart_nas::{SyntheticTree, serve, serve_synthetic};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A read-only NFSv3 server; MOUNT and NFS on one port, mount path /.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory to export
    #[arg(
        long,
        required_unless_present = "synthetic",
        conflicts_with = "synthetic"
    )]
    export: Option<PathBuf>,
    /// Export a made-up tree instead: DIRECTORIES,FILES_PER_DIRECTORY,FILE_SIZE
    #[arg(long, value_parser = synthetic)]
    synthetic: Option<SyntheticTree>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn synthetic(text: &str) -> Result<SyntheticTree, String> {
    let numbers: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[directories, files_per_directory, file_size]) => Ok(SyntheticTree {
            directories,
            files_per_directory,
            file_size,
        }),
        _ => Err("expected three numbers: DIRECTORIES,FILES_PER_DIRECTORY,FILE_SIZE".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,nfs3_server=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the server stopped: {error}");
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
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let serving = async move {
        match (arguments.export, arguments.synthetic) {
            (_, Some(tree)) => serve_synthetic(listener, tree, token).await,
            (Some(export), None) => serve(listener, export, token).await,
            (None, None) => Err(io::Error::other("nothing to export")),
        }
    };
    let mut serving = std::pin::pin!(serving);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = &mut serving => return ended,
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    shutdown.cancel();
    serving.await
}
