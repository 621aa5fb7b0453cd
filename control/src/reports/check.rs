//! `datasync-control report verify`: whether reports are as they were signed, from their files alone.

mod files;
mod finding;
mod objects;
mod signatures;
mod trusted;

use std::fmt;
use std::path::{Path, PathBuf};

use datasync_model::{ReportStatement, SignedReport};

use files::{Files, gathered};
pub(super) use finding::Finding;
use trusted::Trusted;

/// Why nothing can be said of any report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: not the public keys that `report keys` prints: {reason}", path.display())]
    Keys { path: PathBuf, reason: String },
    #[error("{name} is there twice, as {} and as {}: verify one copy of a report at a time",
        one.display(), other.display())]
    Twice {
        name: String,
        one: PathBuf,
        other: PathBuf,
    },
    #[error(
        "no file of a report is there: names begin with the id of an execution, as in \
         exec-0123456789abcdef0.summary-v1-….json"
    )]
    Nothing,
}

/// What is known of the report of one execution.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The id of the execution.
    execution: String,
    signed: Option<SignedReport>,
    findings: Vec<Finding>,
}

impl Verdict {
    /// `None` if everything is as it was signed.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        self.findings.first().map(Finding::exit_code)
    }

    fn of(execution: String, files: &Files, trusted: &Trusted) -> Result<Self, CheckError> {
        let (signed, mut findings) = match files.signed(&execution)? {
            Ok(signed) => (signed, Vec::new()),
            Err(finding) => {
                return Ok(Self {
                    execution,
                    signed: None,
                    findings: vec![finding],
                });
            }
        };
        let statement = ReportStatement::of(&signed.task_execution_arn, &signed.objects);
        findings.extend(signatures::findings(&signed, &statement, trusted));
        findings.extend(objects::findings(&execution, files, &signed.objects)?);
        Ok(Self {
            execution,
            signed: Some(signed),
            findings,
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let execution = &self.execution;
        if let (Some(signed), []) = (&self.signed, self.findings.as_slice()) {
            let statement = ReportStatement::of(&signed.task_execution_arn, &signed.objects);
            let at = signed.control.as_ref().map(|control| &control.signed_at);
            return write!(
                f,
                "{execution}: as it was signed: {} objects, {} entries, root {}, by {} with key {}, \
                 countersigned at {}",
                statement.objects,
                statement.entries,
                statement.root,
                signed.agent.agent_arn,
                signed.agent.key_id,
                at.map_or("no time", String::as_str),
            );
        }
        for (number, finding) in self.findings.iter().enumerate() {
            let end = if number > 0 { "\n" } else { "" };
            write!(f, "{end}{execution}: {finding}")?;
        }
        Ok(())
    }
}

/// Verifies every report that has a file among `paths`, in the order of the executions' ids. Nothing
/// is asked but `keys`, a file with the public keys.
///
/// # Errors
/// [`CheckError`]: files that cannot be read, or none.
pub(crate) fn check(paths: &[PathBuf], keys: &Path) -> Result<Vec<Verdict>, CheckError> {
    let trusted = Trusted::read(keys)?;
    let reports = gathered(paths)?;
    if reports.is_empty() {
        return Err(CheckError::Nothing);
    }
    reports
        .into_iter()
        .map(|(execution, files)| Verdict::of(execution, &files, &trusted))
        .collect()
}

#[cfg(test)]
mod tests;
