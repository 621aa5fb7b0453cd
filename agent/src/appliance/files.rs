//! Files of the machine, read if they are small.

use std::fs;
use std::io::Read;
use std::path::Path;

/// The longest file that is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// Begins what is written, where the format has comments.
pub(super) const NOTE: &str = "# Written by datasync-agent: its local console, or from a seed.\n";

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

/// The first 64 KiB of a file whose length the system does not tell; `None` if it cannot be read.
pub(crate) fn read_virtual(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(FILE_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The content of a file of at most 64 KiB; `None` if it cannot be read.
pub(crate) fn read_small(path: &Path) -> Option<String> {
    let is_small = fs::metadata(path).is_ok_and(|found| found.len() <= FILE_MAX);
    is_small.then(|| fs::read_to_string(path).ok()).flatten()
}
