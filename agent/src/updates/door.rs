//! The agent's side of `datasync-agent update`: a Unix socket in the state directory, for the agent's
//! own user and root.
//!
//! A caller sends one line of JSON, an [`Ask`], and after it the bundle, and ends its side. The agent
//! answers with lines of JSON, [`Answer`]s, until it starts anew or has nothing more to say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use datasync_model::ReleaseVersion;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::desk::{Order, PARTS_WAITING, Start, Updates};
use crate::state::StateDir;

/// The socket's name in the state directory.
pub(super) const SOCKET: &str = "update.sock";
/// The longest line either side reads, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 4096;
/// Callers that are served at a time.
const CALLERS_MAX: usize = 4;
/// A caller sends its next bytes within this time.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait for executions to end.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const POLL: Duration = Duration::from_millis(500);
const PART_BYTES: usize = 256 * 1024;

/// What a caller wishes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ask {
    /// To go back to the packaged program; no bundle comes then.
    #[serde(default)]
    pub(super) packaged: bool,
    /// Executions stop at a checkpoint; otherwise their end is waited for.
    #[serde(default)]
    pub(super) drain: bool,
    #[serde(default)]
    pub(super) allow_downgrade: bool,
    /// How long their end is waited for.
    #[serde(default)]
    pub(super) wait_seconds: u64,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The bundle is installed and in line.
    Installed {
        version: ReleaseVersion,
    },
    /// Executions are under way, and their end is waited for.
    Waiting {
        executions: usize,
    },
    /// The agent starts anew.
    Starting,
    /// Nothing is to be done.
    Done,
    Failed {
        reason: String,
    },
}

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
    opened
        .inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "no socket for local updates");
        })
        .ok()
}

/// Serves callers until `stop`.
pub(crate) async fn serve(listener: UnixListener, updates: Updates, stop: CancellationToken) {
    let mut callers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = callers.join_next() => continue,
            accepted = listener.accept(), if callers.len() < CALLERS_MAX => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let updates = updates.clone();
                callers.spawn(async move { serve_one(stream, &updates).await });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a local caller");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: UnixStream, updates: &Updates) {
    let (mut reader, mut writer) = stream.into_split();
    let served = converse(&mut reader, &mut writer, updates).await;
    let last = match served {
        Ok(answer) => answer,
        Err(reason) => Answer::Failed { reason },
    };
    if let Err(reason) = answer(&mut writer, &last).await {
        tracing::debug!(reason, "a local caller left");
    }
}

/// The last answer, or why nothing came of it.
async fn converse(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    updates: &Updates,
) -> Result<Answer, String> {
    let (ask, rest) = read_ask(reader).await?;
    if ask.packaged {
        let changed = updates.leave_all().map_err(|error| error.to_string())?;
        if !changed {
            return Ok(Answer::Done);
        }
        return start(&ask, None, writer, updates).await;
    }
    let (parts, received) = mpsc::channel(PARTS_WAITING);
    let order = Order {
        allow_downgrade: ask.allow_downgrade,
        request: None,
    };
    let (read, installed) = tokio::join!(
        read_parts(reader, rest, parts),
        updates.install(order, received)
    );
    // A caller that goes away in the middle has sent no whole bundle.
    let version = installed.map_err(|error| match read {
        Err(reason) => reason,
        Ok(()) => error.to_string(),
    })?;
    let installed = Answer::Installed {
        version: version.clone(),
    };
    answer(writer, &installed).await?;
    start(&ask, Some(&version), writer, updates).await
}

/// Waits until the agent starts anew, for as long as the caller allows. `version` is in line.
async fn start(
    ask: &Ask,
    version: Option<&ReleaseVersion>,
    writer: &mut (impl AsyncWrite + Unpin),
    updates: &Updates,
) -> Result<Answer, String> {
    let executions = updates.busy();
    if executions > 0 && !ask.drain {
        answer(writer, &Answer::Waiting { executions }).await?;
    }
    updates.start(if ask.drain {
        Start::AtOnce
    } else {
        Start::WhenIdle
    });
    let given_way = async {
        while version.is_none_or(|version| updates.waits(version)) {
            tokio::time::sleep(POLL).await;
        }
    };
    let wait = Duration::from_secs(ask.wait_seconds).min(WAIT_MAX);
    tokio::select! {
        biased;
        () = updates.restarting().cancelled() => Ok(Answer::Starting),
        () = given_way => Err("another update took its place".to_owned()),
        () = tokio::time::sleep(wait) => {
            updates.withdraw_local().map_err(|error| error.to_string())?;
            let left = updates.busy();
            let outcome = match version {
                Some(_) => "it was taken back",
                None => "the packaged program starts once they have ended",
            };
            Err(format!(
                "{left} executions were still under way after {} s, so {outcome}; --drain lets \
                 them stop at a checkpoint and go on after the update",
                wait.as_secs()
            ))
        }
    }
}

/// The line, and what was read beyond it.
async fn read_ask(reader: &mut (impl AsyncRead + Unpin)) -> Result<(Ask, Bytes), String> {
    let mut read = BytesMut::new();
    loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let line = read.split_to(end + 1);
            let ask = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            return Ok((ask, read.freeze()));
        }
        if read.len() > LINE_BYTES_MAX {
            return Err("the caller's first line is too long".to_owned());
        }
        if read_some(reader, &mut read).await? == 0 {
            return Err("the caller said nothing".to_owned());
        }
    }
}

/// Gives everything to `parts`, up to the end or until nobody wants more.
async fn read_parts(
    reader: &mut (impl AsyncRead + Unpin),
    first: Bytes,
    parts: mpsc::Sender<Bytes>,
) -> Result<(), String> {
    let mut next = first;
    loop {
        if !next.is_empty() && parts.send(next).await.is_err() {
            return Ok(());
        }
        let mut read = BytesMut::with_capacity(PART_BYTES);
        if read_some(reader, &mut read).await? == 0 {
            return Ok(());
        }
        next = read.freeze();
    }
}

async fn read_some(
    reader: &mut (impl AsyncRead + Unpin),
    into: &mut BytesMut,
) -> Result<usize, String> {
    match tokio::time::timeout(READ_TIMEOUT, reader.read_buf(into)).await {
        Ok(Ok(count)) => Ok(count),
        Ok(Err(error)) => Err(format!("the bundle cannot be read: {error}")),
        Err(_) => Err("the caller sent nothing for too long".to_owned()),
    }
}

async fn answer(writer: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> Result<(), String> {
    let mut line = serde_json::to_vec(answer).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let written = tokio::time::timeout(WRITE_TIMEOUT, writer.write_all(&line)).await;
    match written {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(_) => Err("the caller does not read".to_owned()),
    }
}
