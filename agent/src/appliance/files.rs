//! Files of the machine: written all or none, and read if they are small.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// What is to be written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MachineFile {
    /// Below the root.
    pub(crate) path: &'static str,
    pub(crate) content: String,
    pub(crate) mode: u32,
    /// The group that may read it besides root; `None`: root's.
    pub(crate) group: Option<u32>,
}

/// Without the content: some files hold secrets.
impl std::fmt::Debug for MachineFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineFile")
            .field("path", &self.path)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// The content of a file of at most 64 KiB; `None` if it cannot be read.
pub(crate) fn read_small(path: &Path) -> Option<String> {
    let is_small = fs::metadata(path).is_ok_and(|found| found.len() <= FILE_MAX);
    is_small.then(|| fs::read_to_string(path).ok()).flatten()
}

/// First every file beside its place, then all into their places.
pub(crate) fn write_all(root: &Path, files: &[MachineFile]) -> io::Result<usize> {
    let mut prepared = Vec::new();
    let mut failed = None;
    for file in files {
        let path = root.join(file.path);
        match prepare(&path, file) {
            Ok(temporary) => prepared.push((temporary, path)),
            Err(error) => {
                let text = format!("cannot write {}: {error}", path.display());
                failed = Some(io::Error::new(error.kind(), text));
                break;
            }
        }
    }
    if let Some(error) = failed {
        for (temporary, _) in &prepared {
            fs::remove_file(temporary).ok();
        }
        return Err(error);
    }
    for (temporary, path) in &prepared {
        fs::rename(temporary, path)?;
    }
    Ok(prepared.len())
}

fn prepare(path: &Path, file: &MachineFile) -> io::Result<PathBuf> {
    let temporary = path.with_extension("new");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(file.mode);
    let mut opened = options.open(&temporary)?;
    opened.set_permissions(Permissions::from_mode(file.mode))?;
    if file.group.is_some() {
        chown(&temporary, None, file.group)?;
    }
    opened.write_all(file.content.as_bytes())?;
    opened.sync_all()?;
    Ok(temporary)
}
