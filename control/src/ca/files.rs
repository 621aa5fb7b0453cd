//! Files of the CA: written beside, synced, then renamed, so that a power cut leaves the old or
//! the new content and never half of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::CaError;

fn error(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> CaError {
    move |source| CaError::File {
        path: path.to_owned(),
        action,
        source,
    }
}

/// Makes a directory that only its owner may enter.
pub(super) fn make_private_directory(path: &Path) -> Result<(), CaError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(error(path, "the directory cannot be made"))
}

/// Writes a secret: mode 0600 from its first byte.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), CaError> {
    write(path, content, 0o600)
}

pub(super) fn write_public(path: &Path, content: &[u8]) -> Result<(), CaError> {
    write(path, content, 0o644)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), CaError> {
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        // A leftover of a crash may have another mode.
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    written().map_err(error(path, "cannot be written"))
}

/// Puts a file in the place of another; durable when this returns.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), CaError> {
    let renamed = || -> std::io::Result<()> {
        fs::rename(from, to)?;
        match to.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    renamed().map_err(error(to, "cannot be written"))
}

/// Makes what was renamed in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), CaError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(error(path, "cannot be written"))
}

pub(super) fn read(path: &Path) -> Result<String, CaError> {
    fs::read_to_string(path).map_err(error(path, "cannot be read"))
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, CaError> {
    match fs::read_to_string(path) {
        Ok(content) => Ok(Some(content)),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(error(path, "cannot be read")(source)),
    }
}
