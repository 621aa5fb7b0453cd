//! Uploads that an execution could not abort, kept for the next one of the same pair of locations.
//!
//! A file of JSON lines. An execution claims it by renaming it into its own directory, so that two
//! executions that begin at once never share an entry; what it still owes at its end it appends
//! again. A crash in between leaves an entry twice: to abort an upload that is gone does no harm.

use std::io;
use std::path::Path;

use datasync_endpoint::Key;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::journal::Upload;

/// The claimed file in an execution's directory.
pub(crate) const CLAIMED_FILE: &str = "owed-aborts.jsonl";

/// The file takes no more once it is this long; what it cannot take is in the log by name.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// What of a file is read: its bound and the entries of one execution above it.
const READ_MAX_BYTES: u64 = 2 * FILE_MAX_BYTES;

/// An upload that may be open at the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwedAbort {
    pub(crate) key: Key,
    pub(crate) upload: Upload,
}

/// Appends to `file`; durable when it returns.
pub(crate) async fn remember(file: &Path, owed: &[OwedAbort]) -> io::Result<()> {
    if owed.is_empty() {
        return Ok(());
    }
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).await?;
    }
    let mut target = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .await?;
    if target.metadata().await?.len() >= FILE_MAX_BYTES {
        return Err(io::Error::other(format!(
            "holds {FILE_MAX_BYTES} bytes already"
        )));
    }
    // A line that a crash cut short must not swallow the next one.
    let mut lines = vec![b'\n'];
    for entry in owed {
        serde_json::to_writer(&mut lines, entry)?;
        lines.push(b'\n');
    }
    target.write_all(&lines).await?;
    target.sync_all().await
}

/// Moves `file` to `claimed`, unless an earlier run of the execution did, and reads it. Lines that
/// nobody can read are logged.
pub(crate) async fn claim(file: &Path, claimed: &Path) -> io::Result<Vec<OwedAbort>> {
    if !fs::try_exists(claimed).await? {
        match fs::rename(file, claimed).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            renamed => renamed?,
        }
    }
    self::claimed(claimed).await
}

/// What an execution claimed; nothing if there is no such file.
pub(crate) async fn claimed(claimed: &Path) -> io::Result<Vec<OwedAbort>> {
    let file = match File::open(claimed).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut text = Vec::new();
    file.take(READ_MAX_BYTES).read_to_end(&mut text).await?;
    let lines = text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty());
    Ok(lines.filter_map(|line| read(line, claimed)).collect())
}

fn read(line: &[u8], claimed: &Path) -> Option<OwedAbort> {
    serde_json::from_slice(line)
        .inspect_err(|error| {
            tracing::warn!(%error, file = %claimed.display(), "an upload that is owed an abort is unreadable");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::UploadId;

    use super::*;

    fn owed(key: &str) -> OwedAbort {
        OwedAbort {
            key: Key::from_listing(key.to_owned()),
            upload: Upload::Open(UploadId(format!("id of {key}"))),
        }
    }

    #[tokio::test]
    async fn what_is_claimed_is_what_was_remembered_and_is_claimed_once() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, first, second) = (
            scratch.path().join("history/pair.owed"),
            scratch.path().join("first"),
            scratch.path().join("second"),
        );
        assert_eq!(claim(&file, &first).await.unwrap(), []);
        remember(&file, &[owed("a\nb"), owed("c")]).await.unwrap();
        remember(&file, &[owed("d")]).await.unwrap();
        let all = [owed("a\nb"), owed("c"), owed("d")];
        assert_eq!(claim(&file, &first).await.unwrap(), all);
        assert_eq!(claim(&file, &second).await.unwrap(), []);
        remember(&file, &[owed("e")]).await.unwrap();
        assert_eq!(claim(&file, &first).await.unwrap(), all, "after a crash");
        assert_eq!(claim(&file, &second).await.unwrap(), [owed("e")]);
    }

    #[tokio::test]
    async fn a_line_that_was_cut_short_costs_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, claimed) = (scratch.path().join("owed"), scratch.path().join("claimed"));
        fs::write(&file, b"\n{\"key\":\"x").await.unwrap();
        remember(&file, &[owed("a")]).await.unwrap();
        assert_eq!(claim(&file, &claimed).await.unwrap(), [owed("a")]);
    }

    #[tokio::test]
    async fn the_file_is_bounded() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("owed");
        fs::write(&file, vec![b'\n'; 1 << 20]).await.unwrap();
        remember(&file, &[owed("a")]).await.unwrap_err();
    }
}
