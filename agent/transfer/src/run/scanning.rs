//! The stage that walks, merges and transfers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use datasync_endpoint::{
    Destination, EndpointError, EntryKind, EntryPath, Key, ListedObject, Source,
};
use datasync_model::{
    Counters, ErrorCode, Failure, OverwriteMode, PreserveDeletedFiles, TransferMode, VerifyMode,
};
use tokio::task::JoinSet;

use super::passing::Passed;
use super::{Ended, Engine};
use crate::catalog::{Entry, Remembered};
use crate::deletes::{Candidate, trim};
use crate::failures::Verdict;
use crate::history::Root;
use crate::journal::{JournalError, Record, State};
use crate::lanes::{Lane, Lanes, Ticket};
use crate::listing::list;
use crate::manifest::{ManifestWalk, frozen_path, list_wanted};
use crate::merge::{Merge, MergeError, Shadow, Step};
use crate::mover::{Mover, Resumed};
use crate::outcome::{ItemFailure, Outcome, counted};
use crate::paged::{self, Paged};
use crate::plan::SINGLE_PUT_MAX;
use crate::report::ItemFacts;
use crate::sorter::{Kept, Spill};
use crate::walk::{STREAMS, SourceEntry, Walk, WalkError, Walked};

/// What scanning learned that deleting needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ScanFacts {
    pub(super) candidates: u64,
    pub(super) matched: u64,
    /// Whether this run of the process met anything besides the root.
    pub(super) source_has_entries: bool,
}

/// Pages of at most 128 entries that wait for the merge.
const WALKED_PAGES: usize = 8;
/// Pages of the listing that wait for the merge, beside the one that it consumes and the one that is
/// on its way.
const LISTED_PAGES: usize = 1;

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
struct Before {
    last_handed: Option<Key>,
    unread: BTreeSet<Key>,
}

/// The scan as far as it got.
pub(super) struct Scan {
    pub(super) lanes: Lanes<Work, Done>,
    pub(super) shadow: Shadow,
    pub(super) remembered: Remembered,
    pub(super) facts: ScanFacts,
    /// What earlier runs of the process did.
    before: Before,
    next_number: u64,
    pub(super) passed: Passed,
    pub(super) merge_ended: bool,
    /// Keys that are the key of no path are named up to a bound.
    strange_keys: u64,
    pub(super) kept: Kept,
}

const STRANGE_KEYS_NAMED: u64 = 100;

/// So many items in a row without an answer, each after all its retries, mean that the endpoint is
/// gone.
const SILENT_ITEMS_MAX: u32 = 64;

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) async fn scan(&mut self, state: &State) -> Result<ScanFacts, Ended> {
        let after = state.last_handed.clone();
        let kept = trim(&self.directory, after.as_ref()).await?;
        self.progress.finish(&kept);
        let mut scan = Scan {
            lanes: Lanes::new(),
            shadow: Shadow::default(),
            remembered: Remembered::nothing(),
            facts: ScanFacts {
                candidates: kept.to_delete,
                matched: state.matched,
                source_has_entries: false,
            },
            before: Before {
                last_handed: after.clone(),
                unread: state.unread.clone(),
            },
            next_number: state.next_number,
            passed: Passed::default(),
            merge_ended: false,
            strange_keys: 0,
            kept: self.kept(),
        };
        self.begin_pending(state, &mut scan).await?;
        self.abort_earlier(state).await?;
        self.note_root().await?;
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

    /// Remembers the root that the execution begins with.
    pub(super) async fn note_root(&mut self) -> Result<(), Ended> {
        if self.root.is_some() {
            return Ok(());
        }
        let root = self.attempts.run(|| self.source.root()).await;
        let root = root.map_err(|error| ItemFailure::of_source(&error))?;
        let root = Root::of(&root.attributes);
        self.root = Some(root);
        Ok(self.journal.append(Record::Root { root }).await?)
    }

    /// Large directories outlive the process while it scans, not while it verifies.
    fn kept(&self) -> Kept {
        Kept::new(self.spill(), self.disk.clone(), self.settings.now_seconds)
    }

    fn spill(&self) -> PathBuf {
        self.directory.join("spill")
    }

    pub(super) fn start_walk(
        &self,
        after: Option<Key>,
        kept: Option<Kept>,
        streams: &mut JoinSet<()>,
    ) -> Paged<Walked> {
        let abilities = self.destination.abilities();
        let (walk_out, walked) = paged::channel(WALKED_PAGES);
        if let Some(manifest) = self.manifest() {
            let walk = ManifestWalk {
                manifest,
                source: self.source.clone(),
                scope: self.scope.clone(),
                attempts: self.attempts.clone(),
                resume_after: after,
                key_max: abilities.key_max,
                streams: STREAMS,
            };
            streams.spawn(walk.run(walk_out));
            return walked;
        }
        let walk = Walk {
            source: self.source.clone(),
            scope: self.scope.clone(),
            attempts: self.attempts.clone(),
            resume_after: after,
            has_root: abilities.has_root,
            key_max: abilities.key_max,
            spill: Spill {
                directory: self.spill(),
                disk: self.disk.clone(),
                keeps_names: kept.is_some(),
            },
            kept,
            memory_bytes: usize::try_from(self.settings.memory_target_bytes / 8)
                .unwrap_or(usize::MAX),
            streams: STREAMS,
        };
        streams.spawn(walk.run(walk_out));
        walked
    }

    /// The file that the execution's manifest is kept in, if it has one.
    pub(super) fn manifest(&self) -> Option<PathBuf> {
        let manifest = self.spec.extensions.manifest.as_ref();
        manifest.map(|_| frozen_path(&self.directory))
    }

    /// Whether the destination is written without a look at what it has.
    pub(super) fn is_blind(&self) -> bool {
        let options = &self.spec.options;
        options.transfer_mode == TransferMode::All
            && options.overwrite_mode == OverwriteMode::Always
            && options.verify_mode != VerifyMode::PointInTimeConsistent
    }

    pub(super) fn start_merge(
        &self,
        after: Option<Key>,
        kept: Option<Kept>,
        streams: &mut JoinSet<()>,
    ) -> Merge {
        let walked = self.start_walk(after.clone(), kept, streams);
        let listed = (!self.is_blind()).then(|| {
            let (list_out, listed) = paged::channel(LISTED_PAGES);
            let (destination, attempts) = (self.destination.clone(), self.attempts.clone());
            match self.manifest() {
                None => streams.spawn(list(destination, attempts, after, list_out)),
                Some(manifest) => {
                    let listing = list_wanted(destination, attempts, manifest, after, list_out);
                    streams.spawn(listing)
                }
            };
            listed
        });
        Merge::new(walked, listed).counting(self.attempts.waits().clone())
    }

    pub(super) fn start_item(&self, ticket: Ticket, work: Work, scan: &mut Scan) {
        let attributes = &work.entry().node.attributes;
        let is_large = attributes.kind == EntryKind::File && attributes.size > SINGLE_PUT_MAX;
        let lane = if is_large { Lane::Large } else { Lane::Small };
        let mover = self.mover.clone();
        scan.lanes
            .add(lane, ticket, work, |work| handle(mover.clone(), work));
    }

    pub(super) async fn take(&mut self, step: Step, scan: &mut Scan) -> Result<(), Ended> {
        let known = self.remembered(&step, scan).await;
        match step {
            Step::End => scan.merge_ended = true,
            Step::Entry(entry, listed) => {
                scan.facts.matched += u64::from(listed.is_some());
                scan.facts.source_has_entries |= !entry.key.as_str().is_empty();
                let failed = self.listed_outcome(&entry.key).await?;
                let mover = &self.mover;
                if failed.is_none()
                    && mover.is_as_remembered(&entry, listed.as_ref(), known.as_deref())
                {
                    return self.pass(entry.key, scan).await;
                }
                let mut ticket = self
                    .hand(&entry.key, &entry.path, listed.is_some(), scan)
                    .await?;
                ticket.facts.attributes = Some(entry.node.attributes);
                ticket.facts.existed = (!self.is_blind()).then_some(listed.is_some());
                match failed {
                    Some(outcome) => self.record(ticket, outcome, None).await?,
                    None => self.start_item(ticket, Work::Met(entry, listed, known), scan),
                }
            }
            Step::Unread { directory, error } => {
                self.settle_passed(scan).await?;
                scan.shadow.cast(directory.key.clone());
                if !scan.before.unread.contains(&directory.key) {
                    self.report_unread(&directory, &error).await?;
                }
            }
            Step::Unknown { path, key, error } => {
                scan.facts.source_has_entries = true;
                scan.shadow.cast(key.join("/"));
                if scan
                    .before
                    .last_handed
                    .as_ref()
                    .is_some_and(|last| key <= *last)
                {
                    return Ok(());
                }
                let ticket = self.hand(&key, &path, false, scan).await?;
                let failure = ItemFailure::of_source(&error);
                self.record(ticket, Outcome::Failed(failure), None).await?;
            }
            Step::Extra(object) => self.take_extra(object, scan).await?,
        }
        Ok(())
    }

    async fn hand(
        &mut self,
        key: &Key,
        path: &EntryPath,
        exists: bool,
        scan: &mut Scan,
    ) -> Result<Ticket, Ended> {
        self.settle_passed(scan).await?;
        let number = scan.next_number;
        scan.next_number += 1;
        self.journal
            .append(Record::Handed {
                n: number,
                key: key.clone(),
                exists,
            })
            .await?;
        scan.kept.pass(Some(key)).await?;
        Ok(Ticket {
            number,
            key: key.clone(),
            path: path.clone(),
            facts: ItemFacts::default(),
        })
    }

    async fn report_unread(
        &mut self,
        directory: &SourceEntry,
        error: &Arc<EndpointError>,
    ) -> Result<(), Ended> {
        let ItemFailure {
            failure,
            endpoint_wide,
        } = ItemFailure::of_source(error);
        if endpoint_wide {
            return Err(Ended::Failed(failure));
        }
        let failure = Failure::new(
            failure.code,
            format!(
                "the directory cannot be read to its end, nothing below it is deleted: {}",
                failure.detail
            ),
        );
        self.failures
            .add(&directory.path, &directory.key, Verdict::Failed, &failure)
            .await?;
        let add = Counters {
            discovered: 1,
            failed: 1,
            directories_unlisted: 1,
            ..Counters::default()
        }
        .of_directories();
        self.progress.finish(&add);
        let key = directory.key.clone();
        let failed = Outcome::Failed(ItemFailure {
            failure,
            endpoint_wide: false,
        });
        let facts = ItemFacts {
            attributes: Some(directory.node.attributes),
            ..ItemFacts::default()
        };
        let told = self.told(&key, facts, &failed)?;
        self.journal.told(Record::Unread { key, add }, told).await?;
        self.check_failures()
    }

    async fn take_extra(&mut self, object: ListedObject, scan: &mut Scan) -> Result<(), Ended> {
        if self.spec.options.preserve_deleted_files != PreserveDeletedFiles::Remove {
            return Ok(());
        }
        let Ok(path) = object.key.path() else {
            scan.strange_keys += 1;
            if scan.strange_keys <= STRANGE_KEYS_NAMED {
                tracing::warn!(key = %object.key.as_str().escape_debug(), "not the key of any path: left alone");
            }
            return Ok(());
        };
        if path == EntryPath::ROOT
            || !self.scope.contains(&path.to_absolute())
            || scan.shadow.covers(&object.key)
        {
            return Ok(());
        }
        scan.facts.candidates += 1;
        let add = Counters {
            to_delete: 1,
            ..Counters::default()
        };
        self.progress.finish(&counted(&object.key, add));
        let candidate = Candidate {
            key: object.key,
            etag: object.etag,
        };
        let frame = candidate.to_frame().map_err(std::io::Error::from)?;
        self.disk.take(frame.len() as u64)?;
        Ok(self.journal.candidate(frame).await?)
    }

    pub(super) async fn finish(
        &mut self,
        ticket: Ticket,
        done: Result<Done, tokio::task::JoinError>,
    ) -> Result<(), Ended> {
        let (outcome, planned) = match done {
            Ok(done) => done?,
            Err(panicked) => {
                let failure = ItemFailure::new(ErrorCode::Internal, panicked.to_string());
                (Outcome::Failed(failure), None)
            }
        };
        self.record(ticket, outcome, planned).await
    }

    /// Makes the end of an item durable and known.
    pub(super) async fn record(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        planned: Option<u64>,
    ) -> Result<(), Ended> {
        let mut add = outcome.counters(planned);
        if self.receipts_verify() {
            add.verified = add.transferred;
        }
        let add = counted(&ticket.key, add);
        let listed = match &outcome {
            Outcome::Failed(failed) => Some((Verdict::Failed, &failed.failure)),
            Outcome::Skipped(failure) => Some((Verdict::Skipped, failure)),
            Outcome::Unchanged { .. } | Outcome::Transferred { .. } => None,
        };
        if let Some((verdict, failure)) = listed {
            self.failures
                .add(&ticket.path, &ticket.key, verdict, failure)
                .await?;
        }
        self.remember(&ticket.key, &outcome).await;
        self.progress.finish(&add);
        let told = self.told(&ticket.key, ticket.facts, &outcome)?;
        let last = Record::Final {
            n: ticket.number,
            add,
        };
        self.journal.told(last, told).await?;
        self.silent_items = match &outcome {
            Outcome::Failed(failed) if failed.is_silence() => self.silent_items + 1,
            Outcome::Transferred { .. } | Outcome::Unchanged { .. } => 0,
            Outcome::Failed(_) | Outcome::Skipped(_) => self.silent_items,
        };
        let silent = self.silent_items >= SILENT_ITEMS_MAX;
        match outcome {
            Outcome::Failed(failed) if failed.endpoint_wide || silent => {
                Err(Ended::Failed(failed.failure))
            }
            Outcome::Failed(_) => self.check_failures(),
            _ => Ok(()),
        }
    }
}

pub(super) async fn handle<S: Source, D: Destination>(mover: Arc<Mover<S, D>>, work: Work) -> Done {
    match work {
        Work::Met(entry, listed, known) => {
            mover
                .handle(&entry, listed.as_ref(), known.as_deref())
                .await
        }
        Work::Resumed(item) => mover.resume(&item).await,
    }
}

pub(super) fn merge_error(error: MergeError) -> Ended {
    match error {
        MergeError::Source(WalkError::Sort(error)) => error.into(),
        MergeError::Source(WalkError::Root(error)) => ItemFailure::of_source(&error).into(),
        MergeError::Destination(error) => ItemFailure::of_destination(&error).into(),
        MergeError::Lost(stream) => Ended::Failed(Failure::new(
            ErrorCode::Internal,
            format!("the {stream} ended without a word"),
        )),
    }
}
