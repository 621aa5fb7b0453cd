//! Why an execution cannot go on.

use datasync_model::{ErrorCode, Failure};

use crate::deletes::CandidatesError;
use crate::disk::DiskError;
use crate::journal::JournalError;
use crate::outcome::{ItemFailure, chain};
use crate::sorter::SortError;

/// Why the stages of an execution ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// An endpoint is gone: nothing more can be done.
    Failed(Failure),
    /// The agent's own disk.
    Local(Failure),
}

impl From<JournalError> for Ended {
    fn from(error: JournalError) -> Self {
        local(&error)
    }
}

impl From<CandidatesError> for Ended {
    fn from(error: CandidatesError) -> Self {
        local(&error)
    }
}

impl From<SortError> for Ended {
    fn from(error: SortError) -> Self {
        local(&error)
    }
}

impl From<DiskError> for Ended {
    fn from(error: DiskError) -> Self {
        local(&error)
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        local(&error)
    }
}

impl From<ItemFailure> for Ended {
    fn from(failure: ItemFailure) -> Self {
        Self::Failed(failure.failure)
    }
}

/// A fault of the agent's own disk, with what to do.
pub(super) fn local(error: &dyn std::error::Error) -> Ended {
    Ended::Local(Failure::new(
        ErrorCode::LocalStateFault,
        format!(
            "{}; see to the agent's state directory (space, permissions): the execution then goes on",
            chain(error)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_fault_of_the_disk_is_told_with_its_cause_once() {
        let source = io::Error::other("Input/output error");
        let path = "/state/spill/1".into();
        let Ended::Local(failure) = Ended::from(SortError::Io { path, source }) else {
            panic!("the disk is the agent's own");
        };
        let told = "cannot use /state/spill/1 for sorting a large directory or hard links: Input/output error; see";
        assert!(failure.detail.starts_with(told), "{failure}");
    }
}
