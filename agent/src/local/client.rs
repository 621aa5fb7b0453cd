//! The reader's side.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::{DOCUMENT_BYTES_MAX, SOCKET, Snapshot};

const TIMEOUT: Duration = Duration::from_secs(3);

/// Why the agent does not say where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    #[error("no agent runs on state directory {0}")]
    NotRunning(String),
    #[error("{0} may be read by the agent's user and root only: run the console as one of them")]
    Denied(String),
    #[error("the agent does not answer: {0}")]
    Silent(String),
}

/// Asks the agent on `state_dir`.
///
/// # Errors
/// [`AskError`]
pub(crate) async fn ask(state_dir: &Path) -> Result<Snapshot, AskError> {
    match tokio::time::timeout(TIMEOUT, read(state_dir)).await {
        Ok(answer) => answer,
        Err(_) => Err(AskError::Silent(format!(
            "nothing within {} s",
            TIMEOUT.as_secs()
        ))),
    }
}

async fn read(state_dir: &Path) -> Result<Snapshot, AskError> {
    let silent = |error: std::io::Error| AskError::Silent(error.to_string());
    let stream = UnixStream::connect(state_dir.join(SOCKET)).await;
    let stream = stream.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            AskError::NotRunning(state_dir.display().to_string())
        }
        ErrorKind::PermissionDenied => AskError::Denied(state_dir.display().to_string()),
        _ => silent(error),
    })?;
    let mut document = Vec::new();
    let most = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    stream
        .take(most)
        .read_to_end(&mut document)
        .await
        .map_err(silent)?;
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(AskError::Silent("its answer is too long".to_owned()));
    }
    serde_json::from_slice(&document)
        .map_err(|error| AskError::Silent(format!("its answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;
    use tokio::sync::watch;
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::local::{Board, SessionState, Watched, listen, serve};
    use crate::state::StateDir;
    use crate::supervisor::Phase;
    use crate::updates::UpdateTold;

    #[tokio::test]
    async fn the_console_sees_where_the_agent_stands() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        assert!(matches!(ask(root).await, Err(AskError::NotRunning(_))));
        let state = StateDir::open(root).unwrap();
        let (phase, phases) = watch::channel(Phase::Starting);
        let (session, sessions) = watch::channel(SessionState::None);
        let board = Board {
            phase: phases,
            session: sessions,
            executions: Watched::default(),
            update: watch::channel(UpdateTold::default()).1,
        };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listen(&state).unwrap(), board, stop.clone()));
        let mode = std::fs::metadata(root.join(SOCKET))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(ask(root).await.unwrap().phase, Phase::Starting);
        let arn = "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0";
        phase.send_replace(Phase::Active {
            arn: arn.parse().unwrap(),
        });
        session.send_replace(SessionState::Open {
            control: "control:9443".to_owned(),
            ahead_seconds: -3,
        });
        let snapshot = ask(root).await.unwrap();
        assert!(snapshot.is_online(), "{snapshot:?}");
        stop.cancel();
        tasks.join_all().await;
        assert!(matches!(ask(root).await, Err(AskError::NotRunning(_))));
        // A socket that a killed process left behind does not stand in the way.
        assert!(listen(&state).is_some());
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(scratch.path().join(SOCKET)).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            for answer in [b"nonsense".to_vec(), vec![b' '; DOCUMENT_BYTES_MAX + 1]] {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(&answer).await.ok();
            }
        });
        for told in ["cannot be read", "too long"] {
            let error = ask(scratch.path()).await.unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
