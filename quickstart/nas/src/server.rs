//! Connections: accepted here, each a task of one set.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use nfs3_server::test_reexports::{RPCContext, process_socket};
use nfs3_server::vfs::NfsReadFileSystem;
use quickstart_serving::connections;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::export::Export;
use crate::read_only::ReadOnly;
use crate::synthetic::{Synthetic, SyntheticTree};

/// Connections served at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 512;

/// Serves the local directory `export` until `shutdown`, which closes every connection.
///
/// Fails if `export` is no directory or cannot be opened.
pub async fn serve(
    listener: TcpListener,
    export: PathBuf,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let export = Export::open(&export).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot export {}: {error}", export.display()),
        )
    })?;
    accept(listener, export, shutdown).await;
    Ok(())
}

/// Serves a tree that takes no disk and constant memory, until `shutdown`.
///
/// Fails if the tree has more files than file handles can number.
pub async fn serve_synthetic(
    listener: TcpListener,
    tree: SyntheticTree,
    shutdown: CancellationToken,
) -> io::Result<()> {
    accept(listener, Synthetic::new(tree)?, shutdown).await;
    Ok(())
}

async fn accept<F: NfsReadFileSystem + 'static>(
    listener: TcpListener,
    files: F,
    shutdown: CancellationToken,
) {
    // One context for all connections: it carries the generation that file handles are made of.
    let context = RPCContext::test_ctx("/", Arc::new(ReadOnly(files)));
    let mut running = connections(listener, CONNECTIONS_MAX, &shutdown, |stream, peer| {
        let mut context = context.clone();
        context.client_addr = peer.to_string();
        async move {
            if let Err(error) = process_socket(stream, context).await {
                tracing::debug!(%peer, %error, "connection closed");
            }
        }
    })
    .await;
    running.shutdown().await;
}
