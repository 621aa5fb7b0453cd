//! POINT_IN_TIME_CONSISTENT: one entry against the object of its key, content included.

mod content;

use std::sync::Arc;

use datasync_endpoint::{
    Destination, EndpointError, ListedObject, ObjectChecksum, ObjectState, ReadBack, Source,
};
use datasync_model::{ErrorCode, Failure, Options};

use crate::attempts::Attempts;
use crate::budget::Budget;
use crate::catalog::Entry;
use crate::extended;
use crate::outcome::ItemFailure;
use crate::plan::{content_of, wanted};
use crate::waits::Wait;
use crate::walk::SourceEntry;

pub(crate) use content::{SourceContent, hashed};

/// Compares entries with objects. Shared by all items of an execution.
pub(crate) struct Verifier<S, D> {
    pub(crate) source: Arc<S>,
    pub(crate) destination: Arc<D>,
    pub(crate) options: Options,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) budget: Budget,
    /// Whether objects are read too whose checksum the store tells.
    pub(crate) is_deep: bool,
}

/// An entry that is as it should be.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// What to remember of it, if anything.
    pub(crate) learned: Option<Box<Entry>>,
    /// The store's checksum that was compared with the source, where it is not a CRC-64.
    pub(crate) checksum: Option<ObjectChecksum>,
}

impl<S: Source, D: Destination> Verifier<S, D> {
    /// Whether the object is what the entry should have become. `known`
    /// is what was remembered before: it tells which side is at fault. `None` for entries that the options leave out.
    pub(crate) async fn check(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> Option<Result<Verified, ItemFailure>> {
        content_of(entry.node.attributes.kind, &self.options)?;
        Some(self.compare(entry, listed, known).await)
    }

    async fn compare(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> Result<Verified, ItemFailure> {
        let missing = || {
            ItemFailure::new(
                ErrorCode::FileNotAtDestination,
                "the source has the item, the destination has not",
            )
        };
        let listed = listed.ok_or_else(missing)?;
        let key = &entry.key;
        let waits = self.attempts.waits();
        let asked = self.attempts.run(|| self.destination.stat(key));
        let found = waits
            .during(Wait::Destination, asked)
            .await
            .map_err(|error| ItemFailure::of_destination(&error))?
            .ok_or_else(missing)?;
        let keeps_link_times = self.destination.abilities().keeps_link_times;
        let wanted = wanted(&entry.node.attributes, &self.options, keeps_link_times);
        if !wanted.agrees_with(&found.metadata) {
            return Err(ItemFailure::new(
                ErrorCode::MetadataDiffers,
                format!("source: {wanted:?}; destination: {:?}", found.metadata),
            ));
        }
        let sides = (&*self.source, &*self.destination);
        let kept = extended::kept(sides, &self.attempts, entry, &wanted).await;
        let kept = kept.map_err(|error| ItemFailure::of_source(&error))?;
        if let Some(failure) = kept.left_out {
            return Err(failure);
        }
        let (is_to_be, is) = (kept.extended.as_deref(), found.extended.as_deref());
        let (kinds, abilities) = (self.source.extended_kinds(), self.destination.abilities());
        if !extended::agrees(is_to_be, is, kinds, abilities) {
            return Err(ItemFailure::new(
                ErrorCode::MetadataDiffers,
                format!(
                    "source: {}; destination: {}",
                    extended::in_words(is_to_be),
                    extended::in_words(is)
                ),
            ));
        }
        let told = found.checksum.filter(|_| !self.is_deep);
        let reading = self.source_like(entry, told);
        let SourceContent {
            read: source,
            checksum,
        } = waits.during(Wait::Source, reading).await?;
        let is_told = found.size == source.size && told.is_some() && checksum == told;
        if !is_told {
            let reading = self.stored_content(entry, &found);
            let stored = waits
                .during(Wait::Destination, reading)
                .await
                .map_err(|error| ItemFailure::of_destination(&error))?;
            classified(source, stored, known)?;
        }
        let known = Entry::found(&entry.node.attributes, listed, &found);
        Ok(Verified {
            learned: known.map(|known| Box::new(known.verified(source.crc64, is_told))),
            checksum: told.filter(|_| is_told),
        })
    }

    async fn stored_content(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
    ) -> Result<ReadBack, EndpointError> {
        match found.crc64.filter(|_| !self.is_deep) {
            Some(crc64) => Ok(ReadBack {
                size: found.size,
                crc64,
            }),
            None => {
                self.attempts
                    .run(|| self.destination.read_back(&entry.key))
                    .await
            }
        }
    }
}

/// What the object is to hold and what it holds.
///
/// # Errors
/// If they differ, with both.
pub(crate) fn compared(source: ReadBack, stored: ReadBack) -> Result<(), ItemFailure> {
    if source == stored {
        return Ok(());
    }
    Err(ItemFailure::new(
        ErrorCode::ChecksumMismatch,
        format!(
            "source: {} bytes with CRC-64/NVME {:016x}; destination: {} bytes with {:016x}",
            source.size, source.crc64.0, stored.size, stored.crc64.0
        ),
    ))
}

/// The same, with who is at fault as far as memory tells: a checksum that is remembered of the source
/// was computed over what it delivered when it was copied.
fn classified(
    source: ReadBack,
    stored: ReadBack,
    known: Option<&Entry>,
) -> Result<(), ItemFailure> {
    let Err(mut found) = compared(source, stored) else {
        return Ok(());
    };
    let remembered = known.and_then(|known| {
        let crc64 = known.crc64?;
        let size = known.size;
        Some((ReadBack { size, crc64 }, known.is_of_source()))
    });
    let (code, what) = match remembered {
        Some((content, _)) if content == source => (
            ErrorCode::DestinationDamaged,
            "the source is as it was when it was copied, the object is not",
        ),
        Some((content, true)) if content == stored => (
            ErrorCode::SourceInconsistent,
            "the object is as it was written; the source delivers other bytes, though the file has \
             not changed",
        ),
        _ => (
            ErrorCode::ChecksumMismatch,
            "which side is at fault is not known",
        ),
    };
    found.failure = Failure::new(code, format!("{what}: {}", found.failure.detail));
    Err(found)
}
