//! The streams of the walk and the listing, and their merge.

use std::path::PathBuf;
use std::sync::Arc;

use datasync_endpoint::{Destination, Key, Source};
use datasync_model::{ErrorCode, Failure, OverwriteMode, TransferMode, VerifyMode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Ended, Engine};
use crate::history::Root;
use crate::journal::Record;
use crate::listing::{Listed, list, list_tree};
use crate::manifest::{ManifestWalk, frozen_path, list_wanted, look_up_wanted};
use crate::merge::{Merge, MergeError};
use crate::outcome::ItemFailure;
use crate::paged::{self, Paged};
use crate::sorter::{Kept, Spill};
use crate::walk::{STREAMS, Walk, WalkError, Walked};

/// Pages of at most 128 entries that wait for the merge.
const WALKED_PAGES: usize = 8;
/// Pages of the listing that wait for the merge, beside the one that it consumes and the one that is
/// on its way.
const LISTED_PAGES: usize = 1;

impl<S: Source, D: Destination> Engine<S, D> {
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
    pub(super) fn kept(&self) -> Kept {
        Kept::new(self.spill(), self.disk.clone(), self.settings.now_seconds)
    }

    pub(super) fn spill(&self) -> PathBuf {
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
            memory_bytes: self.walk_memory(),
            streams: STREAMS,
        };
        streams.spawn(walk.run(walk_out));
        walked
    }

    /// The file that the execution's manifest is kept in, if it has one.
    fn manifest(&self) -> Option<PathBuf> {
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
        let listed = (!self.is_blind()).then(|| self.start_listing(after, streams));
        Merge::new(walked, listed)
            .counting(self.attempts.waits().clone())
            .with_names(self.spec.extensions.name_encoding)
    }

    fn start_listing(&self, after: Option<Key>, streams: &mut JoinSet<()>) -> Paged<Listed> {
        let (list_out, listed) = paged::channel(LISTED_PAGES);
        let (destination, attempts) = (self.destination.clone(), self.attempts.clone());
        match (self.manifest(), self.destination.tree()) {
            (None, None) => {
                streams.spawn(list(destination, attempts, after, list_out));
            }
            (Some(manifest), None) => {
                let listing = list_wanted(destination, attempts, manifest, after, list_out);
                streams.spawn(listing);
            }
            (None, Some(tree)) => {
                let (walk_out, walked) = mpsc::channel(WALKED_PAGES);
                streams.spawn(self.walk_of(tree, after).run(walk_out));
                streams.spawn(list_tree(walked, list_out));
            }
            (Some(manifest), Some(tree)) => {
                streams.spawn(look_up_wanted(tree, attempts, manifest, after, list_out));
            }
        }
        listed
    }

    /// The walk of a destination that is a tree. What is out of scope there is nobody's business.
    fn walk_of(&self, tree: Arc<D::Tree>, after: Option<Key>) -> Walk<D::Tree> {
        Walk {
            source: tree,
            scope: self.scope.clone(),
            attempts: self.attempts.clone(),
            resume_after: after,
            has_root: true,
            key_max: usize::MAX,
            spill: Spill {
                directory: self.spill(),
                disk: self.disk.clone(),
                keeps_names: false,
            },
            kept: None,
            memory_bytes: self.walk_memory(),
            streams: STREAMS,
        }
    }

    pub(super) fn walk_memory(&self) -> usize {
        usize::try_from(self.settings.memory_target_bytes / 8).unwrap_or(usize::MAX)
    }
}

pub(super) fn merge_error(error: MergeError) -> Ended {
    match error {
        MergeError::Source(WalkError::Sort(error)) | MergeError::Unsorted(error) => error.into(),
        MergeError::Source(WalkError::Root(error)) => ItemFailure::of_source(&error).into(),
        MergeError::Destination(error) => ItemFailure::of_destination(&error).into(),
        MergeError::Lost(stream) => Ended::Failed(Failure::new(
            ErrorCode::Internal,
            format!("the {stream} ended without a word"),
        )),
    }
}
