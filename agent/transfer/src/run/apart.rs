//! Locations of which one lies in the other, whatever they are called: found where a walk meets the
//! directory that the other side begins with.

use datasync_endpoint::{
    Attributes, Destination, EntryKind, Handle, Key, Source, Timestamp, directory_id,
};
use datasync_model::{ErrorCode, Failure};

use super::{Ended, Engine};
use crate::locate::locate;
use crate::merge::Step;
use crate::outcome::ItemFailure;
use crate::walk::SourceEntry;

/// How often two directories are looked at that change meanwhile.
const LOOKS_MAX: usize = 10;

/// The file ids of both roots. A directory has the same one by every version of NFS, but file systems
/// may share it: it tells where to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roots {
    source: u64,
    destination: u64,
}

/// What tells a directory from every other one, as long as nothing is changed in it. File systems are
/// left out: the versions of NFS number them differently.
fn identity(attributes: &Attributes) -> (u64, Timestamp, Timestamp) {
    (attributes.file_id, attributes.mtime, attributes.ctime)
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Remembers where both sides begin, if both are trees.
    pub(super) async fn note_roots(&mut self) -> Result<(), Ended> {
        let Some(tree) = self.destination.tree() else {
            return Ok(());
        };
        let from = self.attempts.run(|| self.source.root()).await;
        let from = from.map_err(|error| ItemFailure::of_source(&error))?;
        let to = self.attempts.run(|| tree.root()).await;
        let to = to.map_err(|error| ItemFailure::of_destination(&error))?;
        self.roots = Some(Roots {
            source: from.attributes.file_id,
            destination: to.attributes.file_id,
        });
        Ok(())
    }

    /// Ends the execution at a step that meets the other side's root.
    pub(super) async fn is_apart(&self, step: &Step) -> Result<(), Ended> {
        let Some(roots) = self.roots else {
            return Ok(());
        };
        let listed = match step {
            Step::Entry(entry, listed) => {
                let attributes = &entry.node.attributes;
                let is_below = !entry.key.as_str().is_empty();
                if is_below
                    && attributes.kind == EntryKind::Directory
                    && attributes.file_id == roots.destination
                {
                    self.is_not_the_destination(entry).await?;
                }
                listed.as_ref()
            }
            Step::Extra(object) => Some(object),
            _ => None,
        };
        let Some(listed) = listed else { return Ok(()) };
        if listed.key.as_str().is_empty() || directory_id(&listed.etag) != Some(roots.source) {
            return Ok(());
        }
        self.is_not_the_source(&listed.key).await
    }

    async fn is_not_the_destination(&self, entry: &SourceEntry) -> Result<(), Ended> {
        let Some(tree) = self.destination.tree() else {
            return Ok(());
        };
        let root = self.attempts.run(|| tree.root()).await;
        let root = root.map_err(|error| ItemFailure::of_destination(&error))?;
        match self.are_one(&entry.node.handle, &root.handle).await? {
            true => Err(one_in_the_other(format!(
                "the source's directory {} is where the destination begins",
                entry.path
            ))),
            false => Ok(()),
        }
    }

    async fn is_not_the_source(&self, key: &Key) -> Result<(), Ended> {
        let (Some(tree), Ok(path)) = (self.destination.tree(), key.path()) else {
            return Ok(());
        };
        let found = locate(&*tree, &path, true, &self.attempts).await;
        let found = found.map_err(|error| ItemFailure::of_destination(&error))?;
        let Some(found) = found else { return Ok(()) };
        let root = self.attempts.run(|| self.source.root()).await;
        let root = root.map_err(|error| ItemFailure::of_source(&error))?;
        match self.are_one(&root.handle, &found.handle).await? {
            true => Err(one_in_the_other(format!(
                "the destination's directory {path} is where the source begins"
            ))),
            false => Ok(()),
        }
    }

    /// Whether a directory of the source and one of the destination are the same: looked at in turns,
    /// since something may be written into it meanwhile.
    async fn are_one(&self, of_source: &Handle, of_tree: &Handle) -> Result<bool, Ended> {
        let Some(tree) = self.destination.tree() else {
            return Ok(false);
        };
        let mut before = None;
        for _ in 0..LOOKS_MAX {
            let from = self.attempts.run(|| self.source.attributes(of_source));
            let from = from.await.map_err(|error| ItemFailure::of_source(&error))?;
            let to = self.attempts.run(|| tree.attributes(of_tree)).await;
            let to = to.map_err(|error| ItemFailure::of_destination(&error))?;
            let (from, to) = (identity(&from), identity(&to));
            if from == to || before.is_some_and(|(_, to)| to == from) {
                return Ok(true);
            }
            if before == Some((from, to)) {
                return Ok(false);
            }
            before = Some((from, to));
        }
        Ok(false)
    }
}

fn one_in_the_other(what: String) -> Ended {
    Ended::Failed(Failure::new(
        ErrorCode::InvalidConfiguration,
        format!(
            "{what}: one location lies in the other, and a copy would meet what it has written"
        ),
    ))
}
