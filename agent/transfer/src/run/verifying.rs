//! The end check of POINT_IN_TIME_CONSISTENT: both sides listed again, contents compared.

use std::sync::Arc;

use datasync_endpoint::{Destination, EndpointError, EntryPath, Key, ListedObject, Source};
use datasync_model::{Counters, ErrorCode, Failure};
use tokio::task::{JoinError, JoinSet};

use super::merging::merge_error;
use super::{Ended, Engine};
use crate::catalog::Entry;
use crate::deletes::{Extra, judge};
use crate::failures::Verdict;
use crate::lanes::{Lane, Lanes, Ticket};
use crate::merge::{Shadow, Step};
use crate::outcome::{ItemFailure, counted};
use crate::report::{Found, ItemFacts};
use crate::verify::{Verified, Verifier};
use crate::walk::SourceEntry;

type Work = (SourceEntry, Option<ListedObject>, Option<Box<Entry>>);
type Checked = Option<Result<Verified, ItemFailure>>;

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) async fn verify(&mut self) -> Result<(), Ended> {
        let verifier = self.mover.verifier.clone();
        self.begin_verified().await?;
        let mut streams = JoinSet::new();
        let mut merge = self.start_merge(None, None, &mut streams);
        let mut lanes: Lanes<Work, Checked> = Lanes::new();
        let mut shadow = Shadow::default();
        let mut merge_ended = false;
        let mut remembered = self.read_catalog(None).await;
        while !merge_ended || !lanes.is_empty() {
            tokio::select! {
                biased;
                Some((ticket, checked)) = lanes.next() => {
                    if matches!(checked, Ok(Some(Ok(_)))) {
                        self.silence.is_broken();
                    }
                    self.judge(ticket, checked).await?;
                }
                step = merge.next(), if lanes.has_room() && !merge_ended => {
                    match step.map_err(merge_error)? {
                        Step::End => merge_ended = true,
                        // What failed is reported already; what was skipped is as it should be.
                        Step::Entry(entry, _) if self.failures.is_settled(&entry.key) => {}
                        Step::Entry(entry, listed) => {
                            let mut ticket = Ticket {
                                number: 0,
                                key: entry.key.clone(),
                                path: entry.path.clone(),
                                facts: ItemFacts::of(entry.node.attributes),
                            };
                            while remembered.pass(Some(&entry.key)).await.is_some() {}
                            let known = remembered.take(&entry.key).await.map(Box::new);
                            let proven = self.is_proven(&entry, listed.as_ref(), known.as_deref());
                            if proven && !self.spec.extensions.verify_deep {
                                ticket.facts.object = known.as_deref().map(|known| Found::of(known, None));
                                self.judge(ticket, Ok(Some(Ok(Verified::default())))).await?;
                                continue;
                            }
                            let work = (entry, listed, known);
                            lanes.add(Lane::Small, ticket, work, |work| {
                                check(verifier.clone(), work)
                            });
                        }
                        Step::Unread { directory, error } => {
                            shadow.cast(directory.key.clone());
                            let (path, key) = (directory.path, directory.key);
                            self.judge_unseen(path, key, &error).await?;
                        }
                        Step::Unknown { path, key, error } => {
                            shadow.cast(key.join("/"));
                            self.judge_unseen(path, key, &error).await?;
                        }
                        Step::Extra(object) => self.judge_extra(&object, &mut shadow).await?,
                    }
                }
            }
        }
        streams.shutdown().await;
        Ok(())
    }

    async fn judge(
        &mut self,
        ticket: Ticket,
        checked: Result<Checked, JoinError>,
    ) -> Result<(), Ended> {
        let mut add = Counters::default();
        match checked {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(verified))) => {
                add.verified = 1;
                let learned = verified.learned.as_deref();
                let mut facts = ticket.facts;
                let found = learned.map(|learned| Found::of(learned, verified.checksum));
                facts.object = found.or(facts.object);
                self.tell_verified(&ticket.key, facts, Ok(())).await?;
                if let Some(learned) = learned {
                    self.learn(&ticket.key, learned).await;
                }
            }
            Ok(Some(Err(failed))) => {
                let failed = self.silence.judge(failed);
                if failed.endpoint_wide {
                    return Err(failed.into());
                }
                add.mismatched = 1;
                self.mismatch(&ticket, &failed.failure).await?;
            }
            Err(panicked) => {
                add.mismatched = 1;
                let failure = Failure::new(ErrorCode::Internal, panicked.to_string());
                self.mismatch(&ticket, &failure).await?;
            }
        }
        self.progress.finish(&counted(&ticket.key, add));
        self.check_failures()
    }

    /// What cannot be looked at is not verified.
    async fn judge_unseen(
        &mut self,
        path: EntryPath,
        key: Key,
        error: &EndpointError,
    ) -> Result<(), Ended> {
        let failed = ItemFailure::of_source(error);
        if !failed.endpoint_wide && self.failures.is_settled(&key) {
            return Ok(());
        }
        let ticket = Ticket {
            number: 0,
            key,
            path,
            facts: ItemFacts::default(),
        };
        self.judge(ticket, Ok(Some(Err(failed)))).await
    }

    async fn mismatch(&mut self, ticket: &Ticket, failure: &Failure) -> Result<(), Ended> {
        self.forget(&ticket.key).await;
        self.tell_verified(&ticket.key, ticket.facts, Err(failure))
            .await?;
        Ok(self
            .failures
            .add(&ticket.path, &ticket.key, Verdict::Mismatched, failure)
            .await?)
    }

    /// Objects without a source are a difference only where the task removes them.
    async fn judge_extra(
        &mut self,
        object: &ListedObject,
        shadow: &mut Shadow,
    ) -> Result<(), Ended> {
        if self.withheld.is_some() || self.failures.is_settled(&object.key) {
            return Ok(());
        }
        let judged = judge(&object.key, &self.spec.options, &self.scope, shadow);
        let Extra::Candidate(path) = judged else {
            return Ok(());
        };
        let failure = Failure::new(
            ErrorCode::FileNotAtSource,
            "the destination has the object, the source has no such item",
        );
        self.tell_verified(&object.key, ItemFacts::default(), Err(&failure))
            .await?;
        self.failures
            .add(&path, &object.key, Verdict::Mismatched, &failure)
            .await?;
        let add = Counters {
            mismatched: 1,
            ..Counters::default()
        };
        self.progress.finish(&counted(&object.key, add));
        self.check_failures()
    }
}

async fn check<S: Source, D: Destination>(
    verifier: Arc<Verifier<S, D>>,
    (entry, listed, known): Work,
) -> Checked {
    verifier
        .check(&entry, listed.as_ref(), known.as_deref())
        .await
}
