//! A dry run: the same merge and the same decisions, and no change anywhere but in our own files.

use std::sync::Arc;

use datasync_endpoint::{
    Destination, EndpointError, EntryKind, EntryPath, Key, ListedObject, PosixMetadata, Source,
};
use datasync_model::{
    Counters, ErrorCode, Failure, Plan, PlannedRequests, PreserveDeletedFiles, time_at,
};
use tokio::task::{JoinError, JoinSet};

use super::scanning::merge_error;
use super::{Ended, Engine};
use crate::catalog::{Entry, Recall, Remembered, recall};
use crate::deletes::{Facts, guard};
use crate::failures::Verdict;
use crate::forecast::{Action, Prices};
use crate::history::Root;
use crate::lanes::{Lane, Lanes, Ticket};
use crate::merge::{Shadow, Step};
use crate::mover::{Mover, skip_failure};
use crate::outcome::{ItemFailure, counted};
use crate::plan::{self, Content, Decision, Difference};
use crate::planned::{PLAN_FILE, PlanList, PlannedAction};
use crate::report::ItemFacts;
use crate::waits::Wait;
use crate::walk::SourceEntry;

/// An entry of the merge, with the object of its key and what is remembered of it.
type Work = (SourceEntry, Option<ListedObject>, Option<Box<Entry>>);

/// What would be done about an item.
#[derive(Debug)]
enum Planned {
    Do {
        action: Action,
        bytes: u64,
        requests: PlannedRequests,
    },
    Skip(Failure),
    Failed(ItemFailure),
}

/// A plan in the making.
struct Planning {
    plan: Plan,
    list: PlanList,
    lanes: Lanes<Work, Planned>,
    shadow: Shadow,
    remembered: Remembered,
    candidates: u64,
    matched: u64,
    source_has_entries: bool,
    merge_ended: bool,
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Says what a run would do. It begins anew where the process was ended meanwhile.
    pub(super) async fn plan(&mut self) -> Result<Plan, Ended> {
        self.note_root().await?;
        let own = self.directory.join(PLAN_FILE);
        let path = self.settings.plan_file.clone().unwrap_or(own);
        let mut planning = Planning {
            plan: Plan::default(),
            list: PlanList::create(&path).await?,
            lanes: Lanes::new(),
            shadow: Shadow::default(),
            remembered: self.read_catalog(None).await,
            candidates: 0,
            matched: 0,
            source_has_entries: false,
            merge_ended: false,
        };
        let mut streams = JoinSet::new();
        let mut merge = self.start_merge(None, None, &mut streams);
        let mover = self.mover.clone();
        while !planning.merge_ended || !planning.lanes.is_empty() {
            tokio::select! {
                biased;
                Some((ticket, planned)) = planning.lanes.next() => {
                    self.note_planned(&ticket, planned, &mut planning).await?;
                }
                step = merge.next(), if planning.lanes.has_room() && !planning.merge_ended => {
                    let step = step.map_err(merge_error)?;
                    self.plan_step(step, &mover, &mut planning).await?;
                }
            }
        }
        streams.shutdown().await;
        self.progress.scan_ended();
        planning.list.finish().await?;
        let mut plan = planning.plan;
        let deletes = self.progress.finished().to_delete;
        plan.requests.delete_object = deletes;
        plan.requests.lookup = deletes;
        plan.withheld = self
            .guarded(
                planning.candidates,
                planning.matched,
                planning.source_has_entries,
            )
            .await?;
        let bytes = self.progress.finished().bytes_to_transfer;
        plan.at_limit_ms = time_at(self.spec.options.bytes_per_second, bytes);
        Ok(plan)
    }

    async fn plan_step(
        &mut self,
        step: Step,
        mover: &Arc<Mover<S, D>>,
        planning: &mut Planning,
    ) -> Result<(), Ended> {
        match step {
            Step::End => planning.merge_ended = true,
            Step::Entry(entry, listed) => {
                planning.matched += u64::from(listed.is_some());
                planning.source_has_entries |= !entry.key.as_str().is_empty();
                while planning.remembered.pass(Some(&entry.key)).await.is_some() {}
                let known = planning.remembered.take(&entry.key).await.map(Box::new);
                let ticket = Ticket {
                    number: 0,
                    key: entry.key.clone(),
                    path: entry.path.clone(),
                    facts: ItemFacts::default(),
                };
                let work = (entry, listed, known);
                let deep = self.spec.extensions.verify_deep;
                planning.lanes.add(Lane::Small, ticket, work, |work| {
                    planned(mover.clone(), work, deep)
                });
            }
            Step::Unread { directory, error } => {
                planning.shadow.cast(directory.key.clone());
                self.cannot_plan(directory.path, directory.key, &error)
                    .await?;
            }
            Step::Unknown { path, key, error } => {
                planning.source_has_entries = true;
                planning.shadow.cast(key.join("/"));
                self.cannot_plan(path, key, &error).await?;
            }
            Step::Extra(object) => self.plan_delete(&object, planning).await?,
        }
        Ok(())
    }

    async fn plan_delete(
        &self,
        object: &ListedObject,
        planning: &mut Planning,
    ) -> Result<(), Ended> {
        let Ok(path) = object.key.path() else {
            return Ok(());
        };
        if self.spec.options.preserve_deleted_files != PreserveDeletedFiles::Remove
            || path == EntryPath::ROOT
            || !self.scope.contains(&path.to_absolute())
            || planning.shadow.covers(&object.key)
        {
            return Ok(());
        }
        planning.candidates += 1;
        let add = Counters {
            to_delete: 1,
            ..Counters::default()
        };
        self.progress.finish(&counted(&object.key, add));
        let action = PlannedAction::Delete;
        let added = planning.list.add(&path, &object.key, action, object.size);
        Ok(added.await?)
    }

    async fn note_planned(
        &mut self,
        ticket: &Ticket,
        planned: Result<Planned, JoinError>,
        planning: &mut Planning,
    ) -> Result<(), Ended> {
        let planned = planned.unwrap_or_else(|panicked| {
            Planned::Failed(ItemFailure::new(ErrorCode::Internal, panicked.to_string()))
        });
        let mut add = Counters {
            discovered: 1,
            ..Counters::default()
        };
        let line = match planned {
            Planned::Do {
                action,
                bytes,
                requests,
            } => {
                planning.plan.requests.add(&requests);
                planning.plan.metadata_only += u64::from(action == Action::Metadata);
                match action {
                    Action::Keep => {
                        add.unchanged = 1;
                        None
                    }
                    Action::Transfer | Action::Metadata => {
                        add.to_transfer = 1;
                        add.bytes_to_transfer = bytes;
                        let is_whole = action == Action::Transfer;
                        Some(if is_whole {
                            (PlannedAction::Transfer, bytes)
                        } else {
                            (PlannedAction::Metadata, 0)
                        })
                    }
                }
            }
            Planned::Skip(failure) => {
                add.skipped = 1;
                self.failures
                    .add(&ticket.path, &ticket.key, Verdict::Skipped, &failure)
                    .await?;
                Some((PlannedAction::Skip, 0))
            }
            Planned::Failed(failed) if failed.endpoint_wide => return Err(failed.into()),
            Planned::Failed(failed) => {
                add.failed = 1;
                self.failures
                    .add(&ticket.path, &ticket.key, Verdict::Failed, &failed.failure)
                    .await?;
                None
            }
        };
        self.progress.finish(&counted(&ticket.key, add));
        match line {
            Some((action, bytes)) => Ok(planning
                .list
                .add(&ticket.path, &ticket.key, action, bytes)
                .await?),
            None => Ok(()),
        }
    }

    /// What cannot be looked at cannot be planned.
    async fn cannot_plan(
        &mut self,
        path: EntryPath,
        key: Key,
        error: &EndpointError,
    ) -> Result<(), Ended> {
        let failed = ItemFailure::of_source(error);
        if failed.endpoint_wide {
            return Err(failed.into());
        }
        let add = Counters {
            discovered: 1,
            failed: 1,
            ..Counters::default()
        };
        self.progress.finish(&counted(&key, add));
        let listed = self
            .failures
            .add(&path, &key, Verdict::Failed, &failed.failure);
        Ok(listed.await?)
    }

    /// The guard that would hold the deletes back.
    async fn guarded(
        &self,
        candidates: u64,
        matched: u64,
        source_has_entries: bool,
    ) -> Result<Option<Failure>, Ended> {
        let remembered = match &self.settings.history_file {
            Some(file) => Root::recall(file).await?,
            None => None,
        };
        let same_root = remembered.zip(self.root).map(|(before, now)| before == now);
        let facts = Facts {
            candidates,
            matched,
            source_has_entries,
            same_root,
            share_max_percent: self.spec.extensions.delete_share_max.percent(),
        };
        Ok(guard(facts).err())
    }

    /// What a plan has to complain of.
    pub(super) fn gaps(&self) -> Option<Failure> {
        let failed = self.progress.finished().failed;
        (failed > 0).then(|| {
            Failure::new(
                ErrorCode::ItemsFailed,
                format!(
                    "The plan is not complete: {failed} items cannot be read; the first: {}. \
                     The list is on the agent: {}.",
                    self.failures.first().unwrap_or("see the list"),
                    self.failures.path().display(),
                ),
            )
        })
    }
}

async fn planned<S: Source, D: Destination>(
    mover: Arc<Mover<S, D>>,
    (entry, listed, known): Work,
    verify_deep: bool,
) -> Planned {
    let source = &entry.node.attributes;
    let abilities = mover.destination.abilities();
    let action = match decided(&mover, &entry, listed.as_ref(), known.as_deref()).await {
        Ok(action) => action,
        Err(planned) => return planned,
    };
    let is_file = plan::content_of(source.kind, &mover.options) == Some(Content::File);
    if action == Action::Transfer && is_file && source.size > abilities.object_max {
        return Planned::Failed(ItemFailure::too_large(source.size, abilities.object_max));
    }
    let prices = Prices {
        options: &mover.options,
        abilities,
        read_max: mover.source.read_max(),
    };
    let is_proven = !verify_deep && known.is_some_and(|known| known.is_proven);
    Planned::Do {
        action,
        bytes: match action {
            Action::Transfer if source.kind == EntryKind::File => source.size,
            Action::Transfer | Action::Metadata | Action::Keep => 0,
        },
        requests: prices.of(source, action, is_proven),
    }
}

/// What a run would do; where it would do nothing on purpose, or fail, the error.
async fn decided<S: Source, D: Destination>(
    mover: &Mover<S, D>,
    entry: &SourceEntry,
    listed: Option<&ListedObject>,
    known: Option<&Entry>,
) -> Result<Action, Planned> {
    let (source, options) = (&entry.node.attributes, &mover.options);
    match plan::decide(source, listed, options) {
        Decision::Skip(reason) => return Err(Planned::Skip(skip_failure(reason))),
        Decision::Copy(_) => return Ok(Action::Transfer),
        Decision::Stat => {}
    }
    let wanted = PosixMetadata::kept(source, options);
    if let (Some(listed), Some(known)) = (listed, known) {
        match recall(known, listed, source, &wanted, options) {
            Recall::Ask => {}
            Recall::Unchanged => return Ok(Action::Keep),
            Recall::Content => return Ok(Action::Transfer),
            Recall::Suspect(crc64) => {
                let read = mover.verifier.source_content(entry).await;
                let read = read.map_err(Planned::Failed)?;
                let is_same = read.crc64 == crc64 && read.size == known.size;
                return Ok(if is_same {
                    Action::Keep
                } else {
                    Action::Transfer
                });
            }
        }
    }
    let asking = mover.attempts.run(|| mover.destination.stat(&entry.key));
    let found = mover
        .attempts
        .waits()
        .during(Wait::Destination, asking)
        .await;
    let found = found.map_err(|error| Planned::Failed(ItemFailure::of_destination(&error)))?;
    let Some(found) = found else {
        return Ok(Action::Transfer);
    };
    let last_modified = listed
        .map(|object| object.last_modified)
        .unwrap_or_default();
    Ok(
        match plan::compare(source, &wanted, &found, last_modified, options) {
            Difference::None => Action::Keep,
            Difference::Metadata if found.size > 0 => Action::Metadata,
            Difference::Metadata | Difference::Content => Action::Transfer,
        },
    )
}
