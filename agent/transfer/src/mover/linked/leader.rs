//! Who leads the names of a file.

use std::sync::Arc;

use datasync_endpoint::{Attributes, Crc64, Key};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::links::Name;
use crate::outcome::{ItemFailure, Outcome};

/// The name at the destination whose file the others get.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) key: Key,
    /// Of the file at the source that it was made of.
    pub(crate) source: Attributes,
    /// At the destination; `None`: what is there is to be looked at first.
    pub(crate) etag: Option<String>,
    pub(crate) crc64: Option<Crc64>,
    /// Whether it was written in this run of the process.
    pub(crate) is_written: bool,
    /// What the file has not, though it should: so it is with all of its names.
    pub(crate) lacks: Option<ItemFailure>,
}

/// Who leads the names of one file. Held by the name that is about to.
pub(crate) type Lead = OwnedMutexGuard<Option<Leader>>;

/// A name whose turn has come.
#[derive(Debug)]
pub(crate) struct LinkedName {
    pub(crate) name: Name,
    pub(crate) leader: Arc<Mutex<Option<Leader>>>,
    /// Held already by the first name of a file.
    pub(crate) lead: Option<Lead>,
    /// So many names of the file share what the destination has.
    pub(crate) own_names: u32,
    /// Whether an earlier run of the process was at it, and had begun an upload.
    pub(crate) resumed: Option<bool>,
}

impl Leader {
    /// A name that was dealt with: what is there is to be looked at.
    pub(crate) fn of(name: &Name) -> Self {
        Self {
            key: name.key().clone(),
            source: name.entry.node.attributes,
            etag: None,
            crc64: None,
            is_written: false,
            lacks: None,
        }
    }

    /// A name that stays as it is, by the listing.
    pub(crate) fn of_listed(name: &Name) -> Self {
        Self {
            etag: name.listed.as_ref().map(|listed| listed.etag.clone()),
            ..Self::of(name)
        }
    }

    /// Who leads after a name ended like this: nobody, if it came to nothing.
    pub(super) fn after(name: &Name, outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Failed(failure) => failure.is_in_place.then(|| Self {
                lacks: Some(failure.clone()),
                ..Self::of(name)
            }),
            Outcome::Transferred { write, .. } => Some(Self {
                source: write.attributes,
                crc64: write.crc64,
                is_written: true,
                ..Self::of(name)
            }),
            Outcome::Unchanged { .. } if name.is_current => Some(Self::of_listed(name)),
            Outcome::Unchanged { learned } => Some(Self {
                crc64: learned.as_ref().and_then(|learned| learned.crc64),
                ..Self::of(name)
            }),
            // If it is what the source has, others may be names of it too.
            Outcome::Skipped(_) => Some(Self::of(name)),
        }
    }
}
