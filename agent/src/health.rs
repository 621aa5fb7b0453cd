//! The liveness file, and the check that reads it from another process.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::state::{self, StateDir, StateError};

const FILE: &str = "alive";
const INTERVAL: Duration = Duration::from_secs(5);
/// Three missed writes, with room for a disk that is slow.
const AGE_MAX: Duration = Duration::from_secs(30);

/// Why an agent counts as unhealthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// The state directory cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Nobody holds the lock.
    #[error("no agent runs on state directory {0}")]
    NotRunning(String),
    /// The agent holds the lock and makes no progress.
    #[error(
        "the agent on state directory {directory} gave its last sign of life {age_seconds} s ago"
    )]
    Stuck {
        /// The state directory.
        directory: String,
        /// How old the sign of life is.
        age_seconds: u64,
    },
}

/// Tells whether the agent on `state_dir` runs and is alive.
///
/// # Errors
/// [`Unhealthy`] says what is wrong.
pub fn check_health(state_dir: &Path) -> Result<(), Unhealthy> {
    check(state_dir, SystemTime::now())
}

fn check(state_dir: &Path, now: SystemTime) -> Result<(), Unhealthy> {
    let directory = state_dir.display().to_string();
    if !state::is_locked(state_dir)? {
        return Err(Unhealthy::NotRunning(directory));
    }
    let path = state_dir.join(FILE);
    let written = std::fs::metadata(&path)
        .and_then(|metadata| metadata.modified())
        .map_err(|e| StateError::new("read", &path, e))?;
    // A clock that was set back makes the age unknown: not a reason to kill the agent.
    let age = now.duration_since(written).unwrap_or_default();
    if age > AGE_MAX {
        return Err(Unhealthy::Stuck {
            directory,
            age_seconds: age.as_secs(),
        });
    }
    Ok(())
}

/// Writes the sign of life until `stop`.
pub(crate) async fn beat(state: &StateDir, stop: CancellationToken) {
    let path = state.path(FILE);
    loop {
        // No fsync: the file says nothing after a restart of the machine.
        if let Err(error) = std::fs::write(&path, b"") {
            tracing::warn!(path = %path.display(), %error, "cannot write the sign of life");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn health_follows_the_lock_and_the_sign_of_life() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        assert!(matches!(check_health(root), Err(Unhealthy::State(_))));
        let state = StateDir::open(root).unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        beat(&state, stop).await;
        check_health(root).unwrap();
        let later = SystemTime::now() + AGE_MAX + Duration::from_secs(5);
        assert!(matches!(check(root, later), Err(Unhealthy::Stuck { .. })));
        drop(state);
        assert!(matches!(check_health(root), Err(Unhealthy::NotRunning(_))));
    }
}
