//! How many failures an execution takes.

use datasync_endpoint::{Destination, Source};

use super::{Ended, Engine};
use crate::outcome::ItemFailure;

impl<S: Source, D: Destination> Engine<S, D> {
    /// Ends the execution at an item that failed, if its endpoint is gone or it is one too many.
    pub(super) fn survive(&self, failed: ItemFailure) -> Result<(), Ended> {
        let failed = self.silence.judge(failed);
        if failed.endpoint_wide {
            return Err(failed.into());
        }
        self.check_failures()
    }

    /// Ends the execution if too many of its items failed or differ. To be asked after each one.
    pub(super) fn check_failures(&self) -> Result<(), Ended> {
        let counters = self.progress.finished();
        self.failures
            .check(&counters, self.settings.failures_max)
            .map_err(Ended::Failed)
    }
}
