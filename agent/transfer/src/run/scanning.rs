//! The stage that walks, merges and transfers.

use std::collections::BTreeSet;
use std::sync::Arc;

use datasync_endpoint::{Destination, EntryKind, Key, ListedObject, Source};
use tokio::task::JoinSet;

use super::merging::merge_error;
use super::passing::Passed;
use super::{Ended, Engine};
use crate::catalog::{Entry, Remembered};
use crate::deletes::trim;
use crate::journal::{JournalError, State};
use crate::lanes::{Lane, Lanes, Ticket};
use crate::links;
use crate::merge::Shadow;
use crate::mover::{Mover, Resumed};
use crate::outcome::Outcome;
use crate::plan::SINGLE_PUT_MAX;
use crate::sorter::Kept;
use crate::walk::SourceEntry;

/// What scanning learned that deleting needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ScanFacts {
    pub(super) candidates: u64,
    pub(super) matched: u64,
    /// Whether this run of the process met anything besides the root.
    pub(super) source_has_entries: bool,
    /// Names of files that have several, all runs of the process together.
    pub(super) deferred: u64,
    /// The number of the next item.
    pub(super) next_number: u64,
}

/// What is to be done in a lane.
pub(super) enum Work {
    /// An entry of the merge, with the object of its key and what is remembered of it.
    Met(SourceEntry, Option<ListedObject>, Option<Box<Entry>>),
    Resumed(Resumed),
}

impl Work {
    fn entry(&self) -> &SourceEntry {
        match self {
            Self::Met(entry, ..) => entry,
            Self::Resumed(item) => &item.entry,
        }
    }
}

pub(super) type Done = Result<(Outcome, Option<u64>), JournalError>;

/// What is not to be counted again when a resumed walk meets it again.
pub(super) struct Before {
    pub(super) last_handed: Option<Key>,
    pub(super) unread: BTreeSet<Key>,
}

/// The scan as far as it got.
pub(super) struct Scan {
    pub(super) lanes: Lanes<Work, Done>,
    pub(super) shadow: Shadow,
    pub(super) remembered: Remembered,
    pub(super) facts: ScanFacts,
    /// Whether files can have several names at the destination.
    pub(super) gives_names: bool,
    /// What earlier runs of the process did.
    pub(super) before: Before,
    pub(super) passed: Passed,
    pub(super) merge_ended: bool,
    /// Met so far.
    pub(super) strange_keys: u64,
    pub(super) kept: Kept,
}

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) async fn scan(&mut self, state: &State) -> Result<ScanFacts, Ended> {
        let after = state.last_handed.clone();
        let trimming = self.progress.local_work();
        let kept = trim(&self.directory, after.as_ref()).await?;
        links::trim(&self.directory, after.as_ref()).await?;
        drop(trimming);
        self.progress.finish(&kept);
        let mut scan = Scan {
            lanes: Lanes::new(),
            shadow: Shadow::default(),
            remembered: Remembered::nothing(),
            facts: ScanFacts {
                candidates: kept.to_delete,
                matched: state.matched,
                source_has_entries: false,
                deferred: state.deferred,
                next_number: state.next_number,
            },
            gives_names: self.destination.tree().is_some(),
            before: Before {
                last_handed: after.clone(),
                unread: state.unread.clone(),
            },
            passed: Passed::default(),
            merge_ended: false,
            strange_keys: 0,
            kept: self.kept(),
        };
        self.begin_pending(state, &mut scan).await?;
        self.abort_earlier(state).await?;
        self.note_root().await?;
        self.note_roots().await?;
        scan.remembered = self.read_catalog(after.clone()).await;
        let mut streams = JoinSet::new();
        scan.kept.sweep(after.as_ref()).await?;
        let kept = Some(scan.kept.clone());
        let mut merge = self.start_merge(after, kept, &mut streams);
        let mover = self.mover.clone();
        loop {
            scan.lanes.start_waiting(|work| handle(mover.clone(), work));
            if scan.merge_ended && scan.lanes.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some((ticket, done)) = scan.lanes.next() => self.finish(ticket, done).await?,
                step = merge.next(), if scan.lanes.has_room() && !scan.merge_ended => {
                    self.take(step.map_err(merge_error)?, &mut scan).await?;
                    self.take_at_hand(&mut merge, &mut scan).await?;
                }
            }
        }
        self.settle_passed(&mut scan).await?;
        streams.shutdown().await;
        scan.kept.pass(None).await?;
        Ok(scan.facts)
    }

    pub(super) fn start_item(&self, ticket: Ticket, work: Work, scan: &mut Scan) {
        let attributes = &work.entry().node.attributes;
        let is_large = attributes.kind == EntryKind::File && attributes.size > SINGLE_PUT_MAX;
        let lane = if is_large { Lane::Large } else { Lane::Small };
        let mover = self.mover.clone();
        scan.lanes
            .add(lane, ticket, work, |work| handle(mover.clone(), work));
    }
}

pub(super) async fn handle<S: Source, D: Destination>(mover: Arc<Mover<S, D>>, work: Work) -> Done {
    match work {
        Work::Met(entry, listed, known) => {
            mover
                .handle(&entry, listed.as_ref(), known.as_deref())
                .await
        }
        Work::Resumed(item) => Box::pin(mover.resume(&item)).await,
    }
}
