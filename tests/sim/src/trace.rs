//! Everything that can be seen of a run, as one number.

use std::fmt::Debug;

use datasync_endpoint::Crc64Hasher;
use tokio::time::Instant;

/// Takes in what happens, with its time.
#[derive(Debug)]
pub(crate) struct Trace {
    began: Instant,
    hasher: Crc64Hasher,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Nothing yet; keeps the text too if `kept`.
    #[must_use]
    pub(crate) fn new(kept: bool) -> Self {
        Self {
            began: Instant::now(),
            hasher: Crc64Hasher::default(),
            lines: kept.then(Vec::new),
        }
    }

    /// Something happened at `at`.
    pub(crate) fn note(&mut self, at: Instant, what: &impl Debug) {
        let line = format!("{} {what:?}", at.duration_since(self.began).as_millis());
        self.hasher.update(line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// The number.
    #[must_use]
    pub(crate) fn number(&self) -> u64 {
        self.hasher.finish().0
    }

    /// The text, if it was kept.
    #[must_use]
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
