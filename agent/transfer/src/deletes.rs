//! `PreserveDeletedFiles=REMOVE`: candidates on disk, guards, and the deletes themselves.

mod candidates;
mod presence;

use std::sync::Arc;

use datasync_endpoint::{Destination, Key, Source};
use datasync_model::{Counters, ErrorCode, Failure};
use futures::{StreamExt, stream};

pub(crate) use candidates::{CANDIDATES_FILE, Candidate, Candidates, CandidatesError, trim};

use crate::attempts::Attempts;
use crate::failures::{FailureList, Verdict};
use crate::journal::{Journal, JournalError, Record};
use crate::outcome::{ItemFailure, counted};
use crate::progress::Progress;
use presence::Presence;

/// Below this many candidates the share is not looked at.
const SHARE_FLOOR: u64 = 1_000;
/// Candidates that are looked up and deleted together.
const CHUNK: usize = 64;
const DELETES_IN_FLIGHT: usize = 16;

/// What the guards look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
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
pub(crate) fn guard(facts: Facts) -> Result<(), Failure> {
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
            "they are more than {} % of the {all} objects at the destination. Check the source",
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
    Failed(ItemFailure),
}

/// Deletes the candidates, in order.
pub(crate) struct Deleter<S, D> {
    pub(crate) source: Arc<S>,
    pub(crate) destination: Arc<D>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) journal: Journal,
    pub(crate) progress: Arc<Progress>,
}

/// What became of the candidates of a chunk.
#[derive(Debug, Default)]
struct Settled {
    /// The last candidate that was looked at.
    last: Option<Key>,
    deleted: Counters,
    failed: Vec<(Key, Failure)>,
    /// The endpoint that is gone.
    broken: Option<ItemFailure>,
}

impl Settled {
    fn fail(&mut self, key: Key, failure: ItemFailure) {
        self.failed.push((key, failure.failure.clone()));
        if failure.endpoint_wide {
            self.broken.get_or_insert(failure);
        }
    }
}

impl<S: Source, D: Destination> Deleter<S, D> {
    /// Deletes what is gone from the source; lists the objects that could not be deleted.
    pub(crate) async fn run(
        &self,
        last_deleted: Option<&Key>,
        mut candidates: Candidates,
        failures: &mut FailureList,
    ) -> Result<(), DeleteError> {
        loop {
            let mut chunk = candidates
                .next_chunk(CHUNK)
                .await
                .map_err(DeleteError::Candidates)?;
            if chunk.is_empty() {
                return Ok(());
            }
            chunk.retain(|candidate| last_deleted.is_none_or(|done| candidate.key > *done));
            let mut settled = Settled::default();
            let gone = self.look_up(chunk, &mut settled).await;
            self.delete(gone, &mut settled).await;
            self.record(settled, failures).await?;
        }
    }

    /// Those of a chunk that are gone from the source, up to a source that does not answer.
    async fn look_up(&self, chunk: Vec<Candidate>, settled: &mut Settled) -> Vec<Candidate> {
        // Directories may be renamed meanwhile: what leads to a key is looked up anew.
        let mut presence = Presence::new(&*self.source, &self.attempts);
        let mut gone = Vec::with_capacity(chunk.len());
        for candidate in chunk {
            settled.last = Some(candidate.key.clone());
            match presence.is_gone(&candidate.key).await {
                Ok(true) => gone.push(candidate),
                Ok(false) => tracing::info!(key = %candidate.key, "is at the source after all"),
                Err(error) => settled.fail(candidate.key, ItemFailure::of_source(&error)),
            }
            if settled.broken.is_some() {
                break;
            }
        }
        gone
    }

    async fn delete(&self, gone: Vec<Candidate>, settled: &mut Settled) {
        let deletes = gone.into_iter().map(|candidate| async move {
            let result = self
                .attempts
                .run(|| self.destination.delete(&candidate.key, &candidate.etag))
                .await;
            (candidate.key, result)
        });
        let mut results = stream::iter(deletes).buffer_unordered(DELETES_IN_FLIGHT);
        while let Some((key, result)) = results.next().await {
            match result {
                Ok(()) => {
                    let one = Counters {
                        deleted: 1,
                        ..Counters::default()
                    };
                    let one = counted(&key, one);
                    // At once: a cancel in the middle of the chunk tells what was deleted.
                    self.progress.finish(&one);
                    settled.deleted.add(&one);
                }
                Err(error) => settled.fail(key, ItemFailure::of_destination(&error)),
            }
        }
    }

    /// Makes durable and known what became of a chunk.
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
        let mut failed = Counters::default();
        for (key, failure) in settled.failed {
            failed.add(&counted(&key, one));
            let path = key.path().unwrap_or_default();
            failures
                .add(&path, &key, Verdict::Failed, &failure)
                .await
                .map_err(DeleteError::List)?;
        }
        self.progress.finish(&failed);
        if let Some(key) = settled.last {
            let mut add = settled.deleted;
            add.add(&failed);
            self.journal
                .append(Record::Deleted { key, add })
                .await
                .map_err(DeleteError::Journal)?;
        }
        settled
            .broken
            .map_or(Ok(()), |failure| Err(DeleteError::Failed(failure)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
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
                Facts {
                    source_has_entries: false,
                    ..FACTS
                },
                "empty",
            ),
            (
                Facts {
                    same_root: Some(false),
                    ..FACTS
                },
                "root",
            ),
            (
                Facts {
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
            guard(Facts {
                candidates: 1_000,
                matched: 0,
                ..FACTS
            }),
            Ok(())
        );
        assert_eq!(
            guard(Facts {
                same_root: None,
                ..FACTS
            }),
            Ok(())
        );
        assert_eq!(
            guard(Facts {
                candidates: 0,
                source_has_entries: false,
                ..FACTS
            }),
            Ok(())
        );
    }
}
