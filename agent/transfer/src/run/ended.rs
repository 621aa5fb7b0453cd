//! Why an execution cannot go on.

use datasync_model::{ErrorCode, Failure};

use crate::deletes::CandidatesError;
use crate::journal::JournalError;
use crate::outcome::ItemFailure;
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
            "{error}; see to the agent's state directory (space, permissions): the execution then goes on"
        ),
    ))
}
