//! The audit log: one line of JSON for each call of the API, written once its answer is decided
//! and before it is sent.
//!
//! A line holds what was named, never what was handed over: no activation key, no secret, no text
//! of an error, which may repeat a client's value.

mod entry;

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

pub(crate) use entry::{Entry, Outcome};

use crate::rolling::{RollingFile, RollingSettings};
use crate::strangers::Strangers;

/// Where the lines go. A disk that fails costs lines, never an answer.
#[derive(Debug)]
pub(crate) struct Audit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None`: no audit log is kept.
    file: Option<RollingFile>,
    strangers: Strangers,
    /// Lines that the disk did not take since it last took one.
    lost: u64,
}

impl Audit {
    pub(crate) fn new(settings: Option<RollingSettings>) -> Self {
        Self {
            state: Mutex::new(State {
                file: settings.map(RollingFile::new),
                strangers: Strangers::default(),
                lost: 0,
            }),
        }
    }

    /// Writes the line of a call that was answered, or given up, at `now`.
    fn write(&self, entry: &Entry, outcome: &Outcome, now: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            file: Some(file),
            strangers,
            lost,
        } = &mut *state
        else {
            return;
        };
        let mut left_out = 0;
        if !entry.is_authenticated() {
            match strangers.admit(now) {
                Some(before) => left_out = before,
                None => return,
            }
        }
        let line = entry.line(outcome, now, left_out);
        match file.append(line.as_bytes()) {
            Ok(()) if *lost > 0 => {
                tracing::warn!(path = %file.path().display(), lost = *lost,
                    "the audit log can be written again; lines are missing");
                *lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if *lost == 0 {
                    let advice = crate::disk::advice(&error);
                    tracing::error!(path = %file.path().display(),
                        "the audit log cannot be written, calls go on without it: {error}{advice}");
                }
                *lost += 1;
            }
        }
    }
}

/// A call on its way to an answer. A call whose client goes away first is written as well: what it
/// asked for may have been done.
#[derive(Debug)]
pub(crate) struct Pending<'a> {
    audit: &'a Audit,
    pub(crate) entry: Entry,
    outcome: Outcome,
}

impl<'a> Pending<'a> {
    pub(crate) fn new(audit: &'a Audit, entry: Entry) -> Self {
        Self {
            audit,
            entry,
            outcome: Outcome::ClientGone,
        }
    }

    /// Writes the line.
    pub(crate) fn decided(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.audit
            .write(&self.entry, &self.outcome, Timestamp::now());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn entry(id: &str) -> Entry {
        Entry::new(id, ([192, 0, 2, 1], 5000).into())
    }

    fn lines(directory: &std::path::Path) -> Vec<Value> {
        let text = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap();
        text.lines().map(parse).collect()
    }

    fn audit(directory: &std::path::Path) -> Audit {
        Audit::new(Some(RollingSettings {
            path: directory.join("audit.jsonl"),
            bytes_max: 1 << 20,
        }))
    }

    #[test]
    fn a_call_that_is_given_up_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let audit = audit(directory.path());
        drop(Pending::new(&audit, entry("one")));
        Pending::new(&audit, entry("two")).decided(Outcome::Answered);
        let lines = lines(directory.path());
        assert_eq!(lines[0]["result"], "ClientGone");
        assert_eq!(lines[1]["result"], "ok");
    }

    #[test]
    fn strangers_cannot_push_out_what_was_done() {
        let directory = tempfile::tempdir().unwrap();
        let audit = audit(directory.path());
        for _ in 0..10_000 {
            Pending::new(&audit, entry("x"))
                .decided(Outcome::Refused("MissingAuthentication", 403));
        }
        assert!(lines(directory.path()).len() < 200);
    }

    #[test]
    fn a_disk_that_fails_costs_lines_and_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let away = directory.path().join("away");
        let audit = audit(&away);
        Pending::new(&audit, entry("lost")).decided(Outcome::Answered);
        assert_eq!(audit.state.lock().unwrap().lost, 1);
        std::fs::create_dir(&away).unwrap();
        Pending::new(&audit, entry("kept")).decided(Outcome::Answered);
        assert_eq!(audit.state.lock().unwrap().lost, 0);
        assert_eq!(lines(&away)[0]["requestId"], "kept");
    }
}
