//! The deletes of a batch, and those that are tried again.

use datasync_endpoint::{Destination, Key, ObjectIdentifier, Source};
use datasync_model::Counters;
use tokio::time::{Instant, sleep};

use super::settled::Settled;
use super::{Candidate, Deleter};
use crate::outcome::{ItemFailure, counted};
use crate::retry::{Failed, Retry};

impl<S: Source, D: Destination> Deleter<S, D> {
    pub(super) async fn delete(&self, gone: Vec<Candidate>, settled: &mut Settled) {
        let mut left: Vec<_> = gone.into_iter().map(Candidate::into_identifier).collect();
        let mut started = Instant::now();
        let mut failed = Failed::default();
        while !left.is_empty() {
            let outcomes = self.destination.delete(&left).await;
            let errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            started += errors
                .clone()
                .map(|error| error.held)
                .max()
                .unwrap_or_default();
            failed.add(errors.map(|error| error.kind));
            let mut wait = None;
            let mut again = Vec::new();
            let mut given_up = Vec::new();
            for (object, outcome) in left.into_iter().zip(outcomes) {
                let Err(error) = outcome else {
                    self.count(&object, settled);
                    continue;
                };
                match self.attempts.after(&error, failed, started) {
                    Retry::After(longer) => {
                        tracing::debug!(%error, attempt = failed.all, ?longer, "will try again");
                        wait = wait.max(Some(longer));
                        again.push(object);
                    }
                    Retry::GiveUp => {
                        given_up.push((object.key, ItemFailure::of_destination(&error)));
                    }
                }
            }
            self.give_up(given_up, settled);
            if let Some(wait) = wait {
                sleep(wait).await;
            }
            left = again;
        }
        settled.failed.sort_by(|(a, _), (b, _)| a.cmp(b));
    }

    /// A request that was not answered is one silence, whatever the number of its objects.
    fn give_up(&self, objects: Vec<(Key, ItemFailure)>, settled: &mut Settled) {
        let mut is_gone = false;
        for (number, (key, failure)) in objects.into_iter().enumerate() {
            let judged = if number == 0 {
                self.destination_silence.judge(failure)
            } else {
                let endpoint_wide = failure.endpoint_wide || (is_gone && failure.is_silence());
                ItemFailure {
                    endpoint_wide,
                    ..failure
                }
            };
            is_gone |= judged.endpoint_wide;
            settled.fail(key, judged);
        }
    }

    /// At once: a cancel in the middle of the batch tells what was deleted.
    fn count(&self, object: &ObjectIdentifier, settled: &mut Settled) {
        let one = Counters {
            deleted: 1,
            ..Counters::default()
        };
        let one = counted(&object.key, one);
        self.destination_silence.is_broken();
        self.progress.finish(&one);
        settled.deleted.add(&one);
        settled.deleted_keys.push(object.key.clone());
    }
}
