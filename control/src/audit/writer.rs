//! What writes the audit log, on a thread of its own: disks block.

use tokio::sync::mpsc;

use super::Decided;
use crate::rolling::{RollingFile, RollingSettings};
use crate::strangers::Strangers;

/// Lines that are written at once.
const BATCH: usize = 128;

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    decided: mpsc::Receiver<Decided>,
    file: RollingFile,
    strangers: Strangers,
    /// Lines that the disk did not take since it last took one.
    lost: u64,
}

impl Writer {
    pub(super) fn new(settings: RollingSettings, decided: mpsc::Receiver<Decided>) -> Self {
        Self {
            decided,
            file: RollingFile::new(settings),
            strangers: Strangers::default(),
            lost: 0,
        }
    }

    /// Writes until nobody can decide anything any more. Blocks.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.decided.blocking_recv_many(&mut batch, BATCH) > 0 {
            self.write(&batch);
            for written in batch.drain(..).filter_map(|decided| decided.written) {
                // A client that has gone away does not wait.
                written.send(()).ok();
            }
        }
    }

    fn write(&mut self, batch: &[Decided]) {
        let (mut text, mut lines) = (String::new(), 0);
        for decided in batch {
            let mut left_out = 0;
            if !decided.entry.is_authenticated() {
                match self.strangers.admit(decided.at) {
                    Some(before) => left_out = before,
                    None => continue,
                }
            }
            let line = decided.entry.line(&decided.outcome, decided.at, left_out);
            text.push_str(&line);
            lines += 1;
        }
        if lines > 0 {
            self.append(&text, lines);
        }
    }

    fn append(&mut self, text: &str, lines: u64) {
        match self.file.append(text.as_bytes()) {
            Ok(()) if self.lost > 0 => {
                tracing::warn!(path = %self.file.path().display(), lost = self.lost,
                    event = "audit.recovered",
                    "the audit log can be written again; lines are missing");
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    let advice = crate::disk::advice(&error);
                    tracing::error!(path = %self.file.path().display(),
                        event = "audit.failed",
                        "the audit log cannot be written, calls go on without it: {error}{advice}");
                }
                self.lost += lines;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::*;
    use crate::audit::{Entry, Outcome};

    fn writer(directory: &Path) -> Writer {
        let settings = RollingSettings {
            path: directory.join("audit.jsonl"),
            bytes_max: 1 << 20,
        };
        Writer::new(settings, mpsc::channel(1).1)
    }

    fn decided(id: &str, outcome: Outcome) -> Decided {
        Decided {
            entry: Entry::new(id, ([192, 0, 2, 1], 5000).into()),
            outcome,
            at: Timestamp::UNIX_EPOCH,
            written: None,
        }
    }

    fn text(directory: &Path) -> String {
        std::fs::read_to_string(directory.join("audit.jsonl")).unwrap()
    }

    #[test]
    fn strangers_cannot_push_out_what_was_done() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(directory.path());
        for _ in 0..10_000 {
            writer.write(&[decided("x", Outcome::Refused("MissingAuthentication", 403))]);
        }
        assert!(text(directory.path()).lines().count() < 200);
    }

    #[test]
    fn a_disk_that_fails_costs_lines_and_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let away = directory.path().join("away");
        let mut writer = writer(&away);
        writer.write(&[decided("lost", Outcome::Answered)]);
        assert_eq!(writer.lost, 1);
        std::fs::create_dir(&away).unwrap();
        writer.write(&[decided("kept", Outcome::Answered)]);
        assert_eq!(writer.lost, 0);
        assert!(text(&away).contains("\"requestId\":\"kept\""));
    }
}
