//! The list of items that were not done, as JSON lines next to the journal.

use std::io;
use std::path::{Path, PathBuf};

use datasync_endpoint::{EntryPath, Key};
use datasync_model::Failure;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};

/// The file's name in the execution's directory.
pub const FAILURES_FILE: &str = "failures.jsonl";

/// No more lines than this are kept; the counters go on.
const LINES_MAX: u64 = 1_000_000;

/// What became of the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Failed,
    Skipped,
    Mismatched,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    path: String,
    key: String,
    outcome: Verdict,
    #[serde(flatten)]
    failure: Failure,
}

/// The open list.
#[derive(Debug)]
pub(crate) struct FailureList {
    path: PathBuf,
    file: BufWriter<File>,
    lines: u64,
    first: Option<String>,
}

impl FailureList {
    /// Opens the list of an execution, with what an earlier run wrote.
    pub(crate) async fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FAILURES_FILE);
        let (lines, first) = read_back(&path).await?;
        let file = OpenOptions::new().create(true).append(true).open(&path).await?;
        Ok(Self { path, file: BufWriter::new(file), lines, first })
    }

    /// Adds an item.
    pub(crate) async fn add(
        &mut self,
        path: &EntryPath,
        key: &Key,
        outcome: Verdict,
        failure: &Failure,
    ) -> io::Result<()> {
        self.lines += 1;
        if outcome != Verdict::Skipped && self.first.is_none() {
            self.first = Some(describe(&path.to_string(), failure));
        }
        if self.lines > LINES_MAX {
            return Ok(());
        }
        let line = Line {
            path: path.to_string(),
            key: key.to_string(),
            outcome,
            failure: failure.clone(),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file.write_all(&text).await
    }

    /// Hands everything to the kernel.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.file.flush().await
    }

    /// The first item that failed or did not match, with its reason.
    pub(crate) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// Where the list is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn describe(path: &str, failure: &Failure) -> String {
    format!("{path} ({}: {})", failure.code, failure.detail)
}

async fn read_back(path: &Path) -> io::Result<(u64, Option<String>)> {
    let file = match File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, None)),
        Err(error) => return Err(error),
    };
    let mut lines = BufReader::new(file).lines();
    let mut count = 0;
    let mut first = None;
    let mut whole_bytes = 0;
    while let Some(text) = lines.next_line().await? {
        let Ok(line) = serde_json::from_str::<Line>(&text) else { break };
        whole_bytes += text.len() as u64 + 1;
        count += 1;
        if line.outcome != Verdict::Skipped && first.is_none() {
            first = Some(describe(&line.path, &line.failure));
        }
    }
    // A line that a crash cut short goes.
    let file = OpenOptions::new().write(true).open(path).await?;
    if fs::metadata(path).await?.len() > whole_bytes {
        file.set_len(whole_bytes).await?;
    }
    Ok((count, first))
}
