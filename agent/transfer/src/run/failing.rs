//! How many failures an execution takes.

use datasync_endpoint::{Destination, Source};
use datasync_model::{ErrorCode, Failure};

use super::{Ended, Engine};

impl<S: Source, D: Destination> Engine<S, D> {
    /// Ends the execution if too many of its items failed or differ, of earlier runs of the process
    /// too. To be asked after each one.
    pub(super) fn check_failures(&self) -> Result<(), Ended> {
        let counters = self.progress.finished();
        let items = counters.failed.saturating_add(counters.mismatched);
        match self.settings.failures_max {
            Some(max) if items >= max.get() => {
                let first = self.failures.first().unwrap_or("see the list");
                Err(Ended::Failed(Failure::new(
                    ErrorCode::TooManyFailures,
                    format!(
                        "stopped after {items} items that failed or differ; the first: {first}. \
                         Remove the cause, or raise failures_max; 0 is no limit. The list is on \
                         the agent: {}",
                        self.failures.path().display()
                    ),
                )))
            }
            _ => Ok(()),
        }
    }
}
