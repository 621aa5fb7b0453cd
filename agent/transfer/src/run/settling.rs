//! What the destination puts right once all is written and deleted.

use datasync_endpoint::{Destination, EndpointError, Key, Source};
use datasync_model::{Counters, Failure};

use super::{Ended, Engine};
use crate::failures::Verdict;
use crate::journal::Record;
use crate::outcome::{ItemFailure, counted};
use crate::waits::Wait;

impl<S: Source, D: Destination> Engine<S, D> {
    /// Goes on until nothing is left to put right.
    pub(super) async fn settle(&mut self) -> Result<(), Ended> {
        loop {
            let settling = self.attempts.run(|| self.destination.settle());
            let settled = self.attempts.waits().during(Wait::Destination, settling);
            let settled = settled
                .await
                .map_err(|error| ItemFailure::of_destination(&error))?;
            for (key, error) in settled.failed {
                self.cannot_settle(&key, &error).await?;
            }
            if !settled.more {
                return Ok(());
            }
        }
    }

    /// Not an entry of the source, but an item that had to be handled and was not (I8).
    async fn cannot_settle(&mut self, key: &Key, error: &EndpointError) -> Result<(), Ended> {
        let failed = ItemFailure::of_destination(error);
        let detail = format!(
            "what is in the directory was written; its own times could not be set: {}",
            failed.failure.detail
        );
        let failure = Failure::new(failed.failure.code, detail);
        let path = key.path().unwrap_or_default();
        self.failures
            .add(&path, key, Verdict::Failed, &failure)
            .await?;
        let add = counted(
            key,
            Counters {
                discovered: 1,
                failed: 1,
                ..Counters::default()
            },
        );
        self.progress.finish(&add);
        self.journal.append(Record::Counted { add }).await?;
        self.check_failures()
    }
}
