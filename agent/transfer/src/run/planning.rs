//! A dry run: the same merge and the same decisions, and no change anywhere but in our own files.

use std::sync::Arc;

use datasync_endpoint::{Destination, EndpointError, EntryPath, Key, ListedObject, Source};
use datasync_model::{Counters, ErrorCode, Failure, Plan, Rate, time_at};
use tokio::task::{JoinError, JoinSet};

use super::deciding::{Planned, Work, planned};
use super::linking::has_names;
use super::merging::merge_error;
use super::{Ended, Engine};
use crate::catalog::Remembered;
use crate::deletes::{Extra, GuardFacts, guard, judge};
use crate::failures::Verdict;
use crate::history::Root;
use crate::lanes::{Lane, Lanes, Ticket};
use crate::links::Name;
use crate::merge::{Shadow, Step};
use crate::mover::{LookBack, Mover};
use crate::outcome::{ItemFailure, counted};
use crate::planned::{PLAN_FILE, PlanList, PlannedAction};
use crate::report::ItemFacts;
use crate::sorter::Sorter;

/// A plan in the making.
pub(super) struct Planning {
    plan: Plan,
    list: PlanList,
    lanes: Lanes<Work, Planned>,
    shadow: Shadow,
    remembered: Remembered,
    candidates: u64,
    matched: u64,
    source_has_entries: bool,
    merge_ended: bool,
    /// Names of files that have several; `None` where the destination gives each one of its own.
    pub(super) names: Option<Sorter<Name>>,
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Says what a run would do. It begins anew where the process was ended meanwhile.
    pub(super) async fn plan(&mut self) -> Result<Plan, Ended> {
        self.note_root().await?;
        self.note_roots().await?;
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
            names: self.destination.tree().map(|_| {
                let memory = self.walk_memory();
                Sorter::new(self.names_spill(), memory)
            }),
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
        self.plan_names(&mut planning).await?;
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
        let now = jiff::Timestamp::from_second((self.settings.now_seconds)()).unwrap_or_default();
        let limit_at = |at| Rate::of(&self.spec).limit_at(&self.spec, at);
        plan.at_limit_ms = time_at(limit_at, bytes, now);
        Ok(plan)
    }

    async fn plan_step(
        &mut self,
        step: Step,
        mover: &Arc<Mover<S, D>>,
        planning: &mut Planning,
    ) -> Result<(), Ended> {
        self.is_apart(&step).await?;
        match step {
            Step::End => planning.merge_ended = true,
            Step::Entry(entry, listed) => {
                planning.matched += u64::from(listed.is_some());
                planning.source_has_entries |= !entry.key.as_str().is_empty();
                while planning.remembered.pass(Some(&entry.key)).await.is_some() {}
                let known = planning.remembered.take(&entry.key).await.map(Box::new);
                if has_names(&entry)
                    && let Some(names) = &mut planning.names
                {
                    let looked = mover.look_back(&entry, listed.as_ref(), known.as_deref());
                    let is_current = !matches!(looked, LookBack::Unsure);
                    let name = Name::new(entry, listed, is_current, known);
                    return Ok(names.push(name).await?);
                }
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
        let judged = judge(
            &object.key,
            &self.spec.options,
            &self.scope,
            &mut planning.shadow,
        );
        let Extra::Candidate(path) = judged else {
            return Ok(());
        };
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

    pub(super) async fn note_planned(
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
                was_answered,
            } => {
                if was_answered {
                    self.silence.is_broken();
                }
                planning.plan.requests.add(&requests);
                if action.is_none() {
                    add.unchanged = 1;
                } else {
                    add.to_transfer = 1;
                    add.bytes_to_transfer = bytes;
                }
                let is_metadata = action == Some(PlannedAction::Metadata);
                planning.plan.metadata_only += u64::from(is_metadata);
                action.map(|action| (action, bytes))
            }
            Planned::Skip(failure) => {
                add.skipped = 1;
                self.failures
                    .add(&ticket.path, &ticket.key, Verdict::Skipped, &failure)
                    .await?;
                Some((PlannedAction::Skip, 0))
            }
            Planned::Failed(failed) => {
                return self.note_unplanned(&ticket.path, &ticket.key, failed).await;
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
        self.note_unplanned(&path, &key, failed).await
    }

    async fn note_unplanned(
        &mut self,
        path: &EntryPath,
        key: &Key,
        failed: ItemFailure,
    ) -> Result<(), Ended> {
        if failed.endpoint_wide {
            return Err(failed.into());
        }
        let add = Counters {
            discovered: 1,
            failed: 1,
            ..Counters::default()
        };
        self.progress.finish(&counted(key, add));
        self.failures
            .add(path, key, Verdict::Failed, &failed.failure)
            .await?;
        self.survive(failed)
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
        let facts = GuardFacts {
            candidates,
            matched,
            source_has_entries,
            same_root,
            share_max_percent: self.spec.extensions.delete_share_max.percent(),
        };
        Ok(guard(facts).err())
    }
}
