//! The manifest as an execution keeps it: one sorted run of keys.

use std::path::{Path, PathBuf};

use datasync_endpoint::Key;

use super::line::Line;
use crate::sorter::{RunReader, SortError, blocking};

/// The file's name in the execution's directory.
const FROZEN_FILE: &str = "manifest";

/// Where the manifest of an execution with this directory is.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join(FROZEN_FILE)
}

/// Reads keys from the file, many at a time.
pub(super) struct Frozen {
    path: PathBuf,
    /// `None` before the first key, and after the last.
    run: Option<RunReader<Line>>,
    is_opened: bool,
    after: Option<Key>,
}

impl Frozen {
    /// Keys greater than `after`.
    pub(super) fn new(path: PathBuf, after: Option<Key>) -> Self {
        Self {
            path,
            run: None,
            is_opened: false,
            after,
        }
    }

    /// At most `count` more; none at the end.
    pub(super) async fn next(&mut self, count: usize) -> Result<Vec<Key>, SortError> {
        let (path, after) = (self.path.clone(), self.after.clone());
        let run = match self.run.take() {
            None if self.is_opened => return Ok(Vec::new()),
            run => run,
        };
        self.is_opened = true;
        let (run, keys) = blocking(move || {
            let mut run = match run {
                Some(run) => run,
                None => RunReader::of_kept(&path)?,
            };
            let mut keys = Vec::with_capacity(count);
            while keys.len() < count {
                let Some(line) = run.next()? else {
                    return Ok((None, keys));
                };
                let key = Key::from_listing(line.key);
                if after.as_ref().is_none_or(|after| key > *after) {
                    keys.push(key);
                }
            }
            Ok((Some(run), keys))
        })
        .await?;
        self.run = run;
        Ok(keys)
    }
}
