//! `PreserveDeletedFiles=REMOVE`: candidates on disk, guards, and the deletes themselves.

mod batch;
mod candidates;
mod extra;
mod feed;
mod presence;
mod settled;

use std::num::NonZeroU64;
use std::sync::Arc;

use datasync_endpoint::{DELETE_MAX, Destination, Key, Source};
use datasync_model::{Counters, ErrorCode, Failure};
use futures::StreamExt;
use futures::stream::FuturesOrdered;

pub(crate) use candidates::{Candidate, Candidates, CandidatesError, trim};

pub(crate) use extra::{Extra, judge};

use crate::attempts::Attempts;
use crate::failures::{FailureList, Verdict};
use crate::item_log::ItemLog;
use crate::journal::{Journal, JournalError, Record};
use crate::outcome::counted;
use crate::progress::Progress;
use crate::report::Teller;
use crate::silence::Silence;
use feed::{Due, Feed};
use presence::gone;
use settled::Settled;

/// Below this many candidates the share is not looked at.
const SHARE_FLOOR: u64 = 1_000;
/// So many candidates in a row without an answer mean that the endpoint is gone: fewer than while
/// scanning, since fewer are looked up at the same time.
pub(crate) const SILENT_CANDIDATES_MAX: u32 = 8;
/// Batches of candidates that are looked up and deleted at the same time.
const BATCHES: usize = 3;

/// What the guards look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardFacts {
    /// Objects to be deleted.
    pub(crate) candidates: u64,
    /// Objects that have a source.
    pub(crate) matched: u64,
    /// Whether the source has anything besides its root, as far as the scope goes.
    pub(crate) source_has_entries: bool,
    /// Whether the root is the one of the last run and the one that this run began with; `None` if
    /// neither is known.
    pub(crate) same_root: Option<bool>,
    /// The largest share of objects that may be deleted, in percent.
    pub(crate) share_max_percent: u64,
}

/// Whether deleting may begin.
///
/// # Errors
/// The guard that holds the deletes back, with what to do.
pub(crate) fn guard(facts: GuardFacts) -> Result<(), Failure> {
    let withheld = |why: String| {
        Err(Failure::new(
            ErrorCode::DeletesWithheld,
            format!("{} deletes withheld: {why}", facts.candidates),
        ))
    };
    if facts.candidates == 0 {
        return Ok(());
    }
    if !facts.source_has_entries {
        return withheld(
            "the source is empty. Check that the right file system is exported; \
             to empty the destination, delete its objects yourself"
                .to_owned(),
        );
    }
    if facts.same_root == Some(false) {
        return withheld(
            "the root of the source is not the directory that it was. Check that the right \
             file system is exported; to accept it, run once with PreserveDeletedFiles=PRESERVE"
                .to_owned(),
        );
    }
    let all = facts.candidates + facts.matched;
    if facts.candidates > SHARE_FLOOR
        && facts.candidates * 100 > all.saturating_mul(facts.share_max_percent)
    {
        return withheld(format!(
            "they are more than {} % of the {all} objects at the destination. Check the source; to \
             accept it, allow a larger share",
            facts.share_max_percent
        ));
    }
    Ok(())
}

/// Why deleting ended early.
#[derive(Debug)]
pub(crate) enum DeleteError {
    Journal(JournalError),
    Candidates(CandidatesError),
    List(std::io::Error),
    Failed(Failure),
}

/// Deletes the candidates, in order.
pub(crate) struct Deleter<S, D> {
    pub(crate) source: Arc<S>,
    pub(crate) destination: Arc<D>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) journal: Journal,
    pub(crate) progress: Arc<Progress>,
    /// So many items that failed or differ end the execution; `None`: it always goes on.
    pub(crate) failures_max: Option<NonZeroU64>,
    pub(crate) source_silence: Silence,
    pub(crate) destination_silence: Silence,
    /// `None` without a report.
    pub(crate) teller: Option<Arc<Teller>>,
    /// `None` without a log.
    pub(crate) log: Option<ItemLog>,
}

impl<S: Source, D: Destination> Deleter<S, D> {
    /// Deletes what is gone from the source; lists the objects that could not be deleted.
    pub(crate) async fn run(
        &self,
        last_deleted: Option<&Key>,
        candidates: Candidates,
        failures: &mut FailureList,
    ) -> Result<(), DeleteError> {
        // What is in a directory of a tree may be in the batch before it.
        let is_tree = self.destination.tree().is_some();
        let batches_max = if is_tree { 1 } else { BATCHES };
        let mut feed = Feed::new(candidates, last_deleted.cloned(), is_tree);
        let mut under_way = FuturesOrdered::new();
        let mut all_begun = false;
        let mut broken = None;
        loop {
            while !all_begun && under_way.len() < batches_max {
                let reading = self.progress.local_work();
                let batch = feed.next(DELETE_MAX).await;
                drop(reading);
                let batch = batch.map_err(DeleteError::Candidates)?;
                all_begun = batch.is_empty();
                if !all_begun {
                    under_way.push_back(self.settle(batch));
                }
            }
            let Some(mut settled) = under_way.next().await else {
                return broken.map_or(Ok(()), |failure| Err(DeleteError::Failed(failure)));
            };
            if broken.is_some() {
                // What lies between was not looked at: a restart begins there.
                settled.last = None;
            }
            if let Some(failure) = settled.broken.take() {
                // What is under way already is still counted.
                broken.get_or_insert(failure.failure);
                all_begun = true;
            }
            self.record(settled, failures).await?;
            let counters = self.progress.finished();
            if let Err(too_many) = failures.check(&counters, self.failures_max) {
                broken.get_or_insert(too_many);
                all_begun = true;
            }
        }
    }

    async fn settle(&self, batch: Vec<Due>) -> Settled {
        let mut settled = Settled::default();
        let (source, silence) = (&*self.source, &self.source_silence);
        let gone = gone(source, &self.attempts, silence, batch, &mut settled).await;
        self.delete(gone, &mut settled).await;
        settled
    }

    /// Makes durable and known what became of a batch.
    async fn record(
        &self,
        settled: Settled,
        failures: &mut FailureList,
    ) -> Result<(), DeleteError> {
        // Not an entry of the source, but an item that had to be handled and was not (I8).
        let one = Counters {
            discovered: 1,
            failed: 1,
            delete_failed: 1,
            ..Counters::default()
        };
        let told = self.told(&settled).await?;
        let mut failed = Counters::default();
        for (key, failure) in settled.failed {
            failed.add(&counted(&key, one));
            if let Some(log) = &self.log {
                log.deleted(&key, Err(&failure));
            }
            let path = key.path().unwrap_or_default();
            failures
                .add(&path, &key, Verdict::Failed, &failure)
                .await
                .map_err(DeleteError::List)?;
        }
        self.progress.finish(&failed);
        let mut add = settled.deleted;
        add.add(&failed);
        let record = match settled.last {
            Some(key) => Record::Deleted { key, add },
            // What is told was done, though the next run begins before it.
            None if !told.is_empty() => Record::Counted {
                add: Counters::default(),
            },
            None => return Ok(()),
        };
        let appended = self.journal.told(record, told).await;
        appended.map_err(DeleteError::Journal)?;
        if let Some(log) = &self.log {
            let deleted = settled.deleted_keys.iter();
            deleted.for_each(|key| log.deleted(key, Ok(())));
        }
        Ok(())
    }

    /// What the report tells of a batch, as frames.
    async fn told(&self, settled: &Settled) -> Result<Vec<u8>, DeleteError> {
        let Some(teller) = &self.teller else {
            return Ok(Vec::new());
        };
        let reporter = teller.reporter();
        let mut frames = Vec::new();
        for key in &settled.deleted_keys {
            frames.extend(reporter.of_deleted(key, Ok(())));
        }
        for (key, failure) in &settled.failed {
            frames.extend(reporter.of_deleted(key, Err(failure)));
        }
        let admitted = teller.admit(frames).await;
        admitted.map_err(DeleteError::Journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: GuardFacts = GuardFacts {
        candidates: 1_001,
        matched: 1_001,
        source_has_entries: true,
        same_root: Some(true),
        share_max_percent: 50,
    };

    #[test]
    fn each_guard_holds_deletes_back_and_says_why() {
        assert_eq!(guard(FACTS), Ok(()));
        for (facts, word) in [
            (
                GuardFacts {
                    source_has_entries: false,
                    ..FACTS
                },
                "empty",
            ),
            (
                GuardFacts {
                    same_root: Some(false),
                    ..FACTS
                },
                "root",
            ),
            (
                GuardFacts {
                    matched: 1_000,
                    ..FACTS
                },
                "50 %",
            ),
        ] {
            let failure = guard(facts).unwrap_err();
            assert_eq!(failure.code, ErrorCode::DeletesWithheld);
            assert!(failure.detail.contains(word), "{failure}");
        }
    }

    #[test]
    fn few_deletes_need_no_share() {
        assert_eq!(
            guard(GuardFacts {
                candidates: 1_000,
                matched: 0,
                ..FACTS
            }),
            Ok(())
        );
        assert_eq!(
            guard(GuardFacts {
                same_root: None,
                ..FACTS
            }),
            Ok(())
        );
        assert_eq!(
            guard(GuardFacts {
                candidates: 0,
                source_has_entries: false,
                ..FACTS
            }),
            Ok(())
        );
    }
}
