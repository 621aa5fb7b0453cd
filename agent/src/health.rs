//! The liveness file, and the check that reads it from another process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use datasync_telemetry::Pulses;
use tokio_util::sync::CancellationToken;

use crate::state::{self, StateDir, StateError};

const FILE: &str = "alive";
const INTERVAL: Duration = Duration::from_secs(5);
/// After the stop, how long the last write may take.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// What the loop is called where a sign of life is asked for over HTTP.
const LOOP: &str = "sign of life";
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

/// What other tasks know of the agent's health.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    /// Of the loops that the agent lives by.
    pub(crate) pulses: Arc<Pulses>,
    /// Why nothing can be written to the state directory, if so.
    fault: Mutex<Option<String>>,
}

impl Vitals {
    /// With signs of life that others read too.
    pub(crate) fn with(pulses: Arc<Pulses>) -> Self {
        Self {
            pulses,
            fault: Mutex::default(),
        }
    }

    /// Why nothing can be written to the state directory, as of the last try; `None`: it can.
    pub(crate) fn state_fault(&self) -> Option<String> {
        let fault = self.fault.lock();
        fault.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// Writes the sign of life until `stop`. A disk that hangs holds up nothing but this loop.
pub(crate) async fn beat(state: &StateDir, vitals: &Vitals, stop: CancellationToken) {
    let path = state.path(FILE);
    loop {
        vitals.pulses.beat(LOOP, AGE_MAX);
        let left = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WRITE).await;
        };
        // No fsync: the file says nothing after a restart of the machine. A full disk takes an empty
        // file.
        let written = tokio::select! {
            written = tokio::fs::write(&path, b"alive\n") => written,
            () = left => return,
        };
        if let Err(error) = &written {
            tracing::warn!(path = %path.display(), %error, "cannot write the sign of life");
        }
        let fault = |error| StateError::new("write", &path, error).to_string();
        vitals.note(written.err().map(fault));
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
        let vitals = Vitals::default();
        beat(&state, &vitals, stop.clone()).await;
        check_health(root).unwrap();
        assert_eq!(
            (vitals.state_fault(), vitals.pulses.check()),
            (None, Ok(()))
        );
        let later = SystemTime::now() + AGE_MAX + Duration::from_secs(5);
        assert!(matches!(check(root, later), Err(Unhealthy::Stuck { .. })));
        std::fs::remove_file(root.join(FILE)).unwrap();
        std::fs::create_dir(root.join(FILE)).unwrap();
        beat(&state, &vitals, stop).await;
        let fault = vitals.state_fault().unwrap();
        assert!(fault.starts_with("cannot write "), "{fault}");
        drop(state);
        assert!(matches!(check_health(root), Err(Unhealthy::NotRunning(_))));
    }
}
