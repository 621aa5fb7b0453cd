//! The list of what a dry run would do, as JSON lines.

use std::io;
use std::path::Path;

use datasync_endpoint::{EntryPath, Key};
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt, BufWriter};

/// The file's name in the execution's directory, unless [`crate::Settings`] say otherwise.
pub const PLAN_FILE: &str = "plan.jsonl";

/// No more lines than this are kept; the counters go on.
const LINES_MAX: u64 = 100_000;

/// What would be done about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedAction {
    /// Content and metadata would be written.
    Transfer,
    /// The metadata would be replaced.
    Metadata,
    /// The object would be deleted.
    Delete,
    /// It would be left out on purpose.
    Skip,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedItem {
    /// The path below the location's root, with a leading `/`; bytes that cannot be shown are
    /// written as `\xNN`.
    pub path: String,
    /// The object's key below the location's prefix.
    pub key: String,
    /// What would be done.
    pub action: PlannedAction,
    /// Bytes that would be written, or of the object that would be deleted.
    pub bytes: u64,
}

/// The open list.
#[derive(Debug)]
pub(crate) struct PlanList {
    file: BufWriter<File>,
    lines: u64,
}

impl PlanList {
    /// Begins the list anew.
    pub(crate) async fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).await?;
        }
        Ok(Self {
            file: BufWriter::new(File::create(path).await?),
            lines: 0,
        })
    }

    /// Adds an item, while there is room.
    pub(crate) async fn add(
        &mut self,
        path: &EntryPath,
        key: &Key,
        action: PlannedAction,
        bytes: u64,
    ) -> io::Result<()> {
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Ok(());
        }
        let line = PlannedItem {
            path: path.to_string(),
            key: key.to_string(),
            action,
            bytes,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file.write_all(&text).await
    }

    /// Gives everything to the kernel.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        self.file.flush().await
    }
}
