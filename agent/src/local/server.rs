//! The agent's side: answers whoever connects, and reads nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::{Board, DOCUMENT_BYTES_MAX, SOCKET};
use crate::state::StateDir;

/// One reader at a time: who does not read in time is cut.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the socket, for the agent's own user (and root) alone. An agent works without it: what is
/// wrong is logged.
pub(crate) fn listen(state: &StateDir) -> Option<UnixListener> {
    let path = state.path(SOCKET);
    // Of a process that was killed: the directory's lock says that it is gone.
    fs::remove_file(&path).ok();
    let opened = UnixListener::bind(&path).and_then(|listener| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    match opened {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "no socket for the local console");
            None
        }
    }
}

/// Answers until `stop`.
pub(crate) async fn serve(listener: UnixListener, board: Board, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let told = tokio::time::timeout(WRITE_TIMEOUT, tell(stream, &board));
                match told.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "a local reader left"),
                    Err(_) => tracing::debug!("a local reader does not read"),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a local reader");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn tell(mut stream: UnixStream, board: &Board) -> std::io::Result<()> {
    let document = serde_json::to_vec(&board.snapshot())?;
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(std::io::Error::other("the document is too long"));
    }
    stream.write_all(&document).await?;
    stream.shutdown().await
}
