//! A small tree with a bit of everything.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

const SMALL_FILES: usize = 400;
const LARGE_FILE_BYTES: usize = 96 << 20;

/// Fills `root`: small files, one large file, an empty file and directory, a link, odd names.
pub(crate) fn fill(root: &Path) -> io::Result<()> {
    for index in 0..SMALL_FILES {
        let directory = root
            .join("projects")
            .join(format!("project-{:02}", index % 20));
        fs::create_dir_all(&directory)?;
        let text = format!("file {index} of the sample\n").repeat(1 + index % 300);
        fs::write(directory.join(format!("report-{index:03}.txt")), text)?;
    }
    fs::create_dir_all(root.join("media"))?;
    fs::write(root.join("media/large.bin"), noise(LARGE_FILE_BYTES))?;
    fs::write(root.join("media/empty"), b"")?;
    fs::create_dir_all(root.join("empty directory"))?;
    symlink("media/large.bin", root.join("latest"))?;
    fs::write(root.join("Übung & 100 %.txt"), "names are bytes\n")
}

/// Bytes that do not compress, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
