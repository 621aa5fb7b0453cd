//! The start: the packaged program looks which release is to run, and becomes it. The process stays
//! the same, so service managers and containers see one program.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use datasync_model::ReleaseVersion;

use super::shelf::Shelf;
use super::standing::{Choice, Standing};
use crate::config::Layers;
use crate::state;

/// The packaged program, told to the release that it starts.
const LAUNCHER: &str = "DATASYNC_UPDATE_LAUNCHER";
/// The version of the packaged program.
const PACKAGED: &str = "DATASYNC_UPDATE_PACKAGED";
/// The version of the release that is started.
const RELEASE: &str = "DATASYNC_UPDATE_RELEASE";

/// Set for a release that has not reached control yet.
const TRIAL: &str = "DATASYNC_UPDATE_TRIAL";

/// Whether this process is a release that has not reached control yet.
#[must_use]
pub fn is_on_trial() -> bool {
    std::env::var_os(TRIAL).is_some()
}

/// Which program this process is.
#[derive(Debug, Clone)]
pub struct Running {
    /// The packaged program, which every start begins with; `None`: the process cannot start anew.
    launcher: Option<PathBuf>,
    pub(super) packaged: ReleaseVersion,
    /// What runs.
    pub(super) version: ReleaseVersion,
    /// What went wrong before there was a log.
    pub(super) fault: Option<String>,
}

/// The version that this program was built as.
fn own_version() -> ReleaseVersion {
    const NEVER: &str = "the version of the package is one";
    match crate::VERSION.parse() {
        Ok(version) => version,
        // A test holds the version of the package to the form.
        Err(_) => unreachable!("{NEVER}"),
    }
}

impl Running {
    /// A program that embeds the agent, and takes care of its own starts.
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            launcher: None,
            packaged: own_version(),
            version: own_version(),
            fault: None,
        }
    }

    /// A release that the packaged program started.
    fn launched() -> Option<Self> {
        let version = |name| std::env::var(name).ok()?.parse().ok();
        Some(Self {
            launcher: Some(PathBuf::from(std::env::var_os(LAUNCHER)?)),
            packaged: version(PACKAGED)?,
            version: version(RELEASE)?,
            fault: None,
        })
    }

    fn packaged() -> Self {
        let (launcher, fault) = match std::env::current_exe() {
            Ok(launcher) => (Some(launcher), None),
            Err(error) => (
                None,
                Some(format!("this program cannot find itself: {error}")),
            ),
        };
        Self {
            launcher,
            fault,
            ..Self::embedded()
        }
    }

    /// For tests: the release `version`, over this program.
    #[must_use]
    pub fn as_release(self, version: ReleaseVersion) -> Self {
        Self { version, ..self }
    }
}

/// Becomes the release that is to run; returns where that is this program. To be called while the
/// process has one thread and has become the agent's user.
#[must_use]
pub fn boot(layers: &Layers) -> Running {
    if let Some(running) = Running::launched() {
        return running;
    }
    let mut running = Running::packaged();
    if let (Some(launcher), Ok(settings)) = (running.launcher.clone(), layers.update_settings()) {
        let state_dir = layers.state_dir();
        let shelf = Shelf::new(&state_dir, settings.keys);
        if let Err(fault) = become_release(&state_dir, &shelf, &running, &launcher) {
            running.fault = Some(fault);
        }
    }
    running
}

/// Returns where this program is to run; an error says that another one should have.
fn become_release(
    state_dir: &Path,
    shelf: &Shelf,
    running: &Running,
    launcher: &Path,
) -> Result<(), String> {
    let mut standing = shelf.read().map_err(|e| e.to_string())?;
    if standing == Standing::default() {
        return Ok(());
    }
    // Another agent on this directory counts its own starts; that this one cannot run is told later.
    let Ok(_lock) = state::lock(state_dir) else {
        return Ok(());
    };
    let mut fault = None;
    loop {
        let (choice, written) = decide(shelf, &mut standing, &running.packaged);
        fault = fault.or(written.err());
        let Choice::Release(version) = choice else {
            return fault.map_or(Ok(()), Err);
        };
        let mut command = Command::new(shelf.program(&version));
        command
            .args(std::env::args_os().skip(1))
            .env(LAUNCHER, launcher)
            .env(PACKAGED, running.packaged.to_string())
            .env(RELEASE, version.to_string());
        if standing.tried() == Some(&version) {
            command.env(TRIAL, "1");
        }
        let error = command.exec();
        standing.not_started(&version, format!("it cannot be started: {error}"));
        if let Err(error) = shelf.write(&standing) {
            fault = Some(error.to_string());
        }
    }
}

/// What is to start, after it was written down. What cannot be counted is not tried.
pub(super) fn decide(
    shelf: &Shelf,
    standing: &mut Standing,
    packaged: &ReleaseVersion,
) -> (Choice, Result<(), String>) {
    let (next, choice) = standing.choose(packaged, |version| shelf.verify(version));
    if next == *standing {
        return (choice, Ok(()));
    }
    let Err(error) = shelf.write(&next) else {
        *standing = next;
        return (choice, Ok(()));
    };
    standing.candidate = None;
    let (next, choice) = standing.choose(packaged, |version| shelf.verify(version));
    *standing = next;
    (choice, Err(error.to_string()))
}

/// Starts anew with the packaged program; returns only if that cannot be done. To be called once
/// nothing runs in this process any more.
#[must_use]
pub fn restart(running: &Running) -> io::Error {
    let Some(launcher) = &running.launcher else {
        return io::Error::other("this program cannot find itself");
    };
    Command::new(launcher)
        .args(std::env::args_os().skip(1))
        .env_remove(LAUNCHER)
        .env_remove(PACKAGED)
        .env_remove(RELEASE)
        .env_remove(TRIAL)
        .exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_package_is_one() {
        let running = Running::embedded();
        assert_eq!(running.version.to_string(), crate::VERSION);
        assert_eq!(running.packaged, running.version);
        let later = running.as_release("9.9.9".parse().unwrap());
        assert_eq!(later.version.to_string(), "9.9.9");
    }
}
