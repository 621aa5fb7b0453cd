//! Releases in the state directory:
//!
//! | path | what |
//! |---|---|
//! | `releases/current.json` | the [`Standing`] |
//! | `releases/VERSION/` | a release: the signed lines of its bundle, and its program |
//! | `releases/incoming/` | a bundle that is being taken in |
//!
//! Every change is durable before the next one begins, and a process that is killed between two of
//! them leaves something that starts.

use std::fs;
use std::path::{Path, PathBuf};

use datasync_model::ReleaseVersion;
use datasync_proto::BundleManifest;

use super::bundle::{Here, Intake, PROGRAM, Refusal, verify_installed};
use super::disk::Disk;
use super::keys::ReleaseKeys;
use super::standing::Standing;
use crate::state::{StateError, read_optional};

/// The folder in the state directory.
const RELEASES: &str = "releases";
const CURRENT: &str = "current.json";
const INCOMING: &str = "incoming";

/// Why it cannot be said what is to run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShelfError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{path} cannot be understood: {reason}")]
    Content { path: String, reason: String },
}

/// The releases of one state directory.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    root: PathBuf,
    disk: Disk,
    keys: ReleaseKeys,
}

impl Shelf {
    pub(super) fn new(state_dir: &Path, keys: ReleaseKeys) -> Self {
        Self {
            root: state_dir.join(RELEASES),
            disk: Disk::default(),
            keys,
        }
    }

    #[cfg(test)]
    pub(super) fn on(self, disk: Disk) -> Self {
        Self { disk, ..self }
    }

    /// What was written last; nothing was: the packaged program runs.
    pub(super) fn read(&self) -> Result<Standing, ShelfError> {
        let path = self.root.join(CURRENT);
        let Some(text) = read_optional(&path)? else {
            return Ok(Standing::default());
        };
        serde_json::from_str(&text).map_err(|error| ShelfError::Content {
            path: path.display().to_string(),
            reason: error.to_string(),
        })
    }

    pub(super) fn write(&self, standing: &Standing) -> Result<(), StateError> {
        let path = self.root.join(CURRENT);
        let text = serde_json::to_vec(standing)
            .map_err(|e| StateError::new("write", &path, std::io::Error::other(e)))?;
        self.disk.replace(&path, &text)
    }

    /// The program of a release.
    pub(super) fn program(&self, version: &ReleaseVersion) -> PathBuf {
        self.directory(version).join(PROGRAM)
    }

    fn directory(&self, version: &ReleaseVersion) -> PathBuf {
        self.root.join(version.to_string())
    }

    /// Whether the files of a release are what was signed, by a key that still counts.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn verify(&self, version: &ReleaseVersion) -> Result<(), String> {
        let directory = self.directory(version);
        let manifest = verify_installed(&directory, &self.keys, std::env::consts::ARCH)
            .map_err(|refusal| refusal.to_string())?;
        if manifest.version != *version {
            return Err(format!("{} is {}", directory.display(), manifest.version));
        }
        Ok(())
    }

    /// Begins to take a bundle in; a state directory takes one at a time.
    pub(super) fn intake<'a>(&'a self, here: &'a Here, allow_downgrade: bool) -> Intake<'a> {
        let incoming = self.root.join(INCOMING);
        Intake::new(&self.disk, incoming, &self.keys, (here, allow_downgrade))
    }

    /// Puts what was taken in where releases are; `standing` must not need this version.
    pub(super) fn shelve(
        &self,
        manifest: &BundleManifest,
        standing: &Standing,
    ) -> Result<(), Refusal> {
        let version = &manifest.version;
        if standing.needed().any(|needed| needed == version) {
            return Err(Refusal::Same(version.clone()));
        }
        let directory = self.directory(version);
        self.disk.remove_directory(&directory)?;
        Ok(self.disk.rename(&self.root.join(INCOMING), &directory)?)
    }

    /// Removes what `standing` does not need.
    pub(super) fn tidy(&self, standing: &Standing) -> Result<(), StateError> {
        let told = |e| StateError::new("list", &self.root, e);
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(told(error)),
        };
        for entry in entries {
            let entry = entry.map_err(told)?;
            let name = entry.file_name();
            let is_needed = standing
                .needed()
                .any(|version| name.to_str() == Some(version.to_string().as_str()));
            if !is_needed && entry.file_type().map_err(told)?.is_dir() {
                self.disk.remove_directory(&entry.path())?;
            }
        }
        Ok(())
    }
}
