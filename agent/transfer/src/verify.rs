//! POINT_IN_TIME_CONSISTENT: one entry against the object of its key, content included.

use std::sync::Arc;

use datasync_endpoint::{
    Crc64, Destination, EndpointError, ErrorKind, Handle, ListedObject, ObjectState, PosixMetadata,
    ReadBack, Source,
};
use datasync_model::{ErrorCode, Failure, Options};

use crate::attempts::Attempts;
use crate::budget::Budget;
use crate::catalog::Entry;
use crate::locate::locate;
use crate::outcome::ItemFailure;
use crate::plan::{Content, content_of};
use crate::read::{ReadError, Version};
use crate::waits::Wait;
use crate::walk::SourceEntry;

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

/// How many handles of an entry are tried: one may mean nothing any more.
const HANDLES_MAX: u32 = 3;

/// Why an entry's content is not known.
enum Unread {
    /// The handle means nothing any more.
    Stale(EndpointError),
    Failed(ItemFailure),
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Source(error) if error.kind == ErrorKind::Stale => Self::Stale(error),
            error => Self::Failed(changed_or_fault(error)),
        }
    }
}

/// Bytes of a file that are read and forgotten at once.
const STEP: u64 = 4 << 20;

impl<S: Source, D: Destination> Verifier<S, D> {
    /// Whether the object is what the entry should have become, and what to remember of it. `known`
    /// is what was remembered before: it tells which side is at fault. `None` for entries that the options leave out.
    pub(crate) async fn check(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> Option<Result<Option<Box<Entry>>, ItemFailure>> {
        content_of(entry.node.attributes.kind, &self.options)?;
        Some(self.compare(entry, listed, known).await)
    }

    async fn compare(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> Result<Option<Box<Entry>>, ItemFailure> {
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
        let wanted = PosixMetadata::kept(&entry.node.attributes, &self.options);
        if !wanted.agrees_with(&found.metadata) {
            return Err(ItemFailure::new(
                ErrorCode::MetadataDiffers,
                format!("source: {wanted:?}; destination: {:?}", found.metadata),
            ));
        }
        let reading = self.source_content(entry);
        let source = waits.during(Wait::Source, reading).await?;
        let reading = self.stored_content(entry, &found);
        let stored = waits
            .during(Wait::Destination, reading)
            .await
            .map_err(|error| ItemFailure::of_destination(&error))?;
        classified(source, stored, known)?;
        let known = Entry::found(&entry.node.attributes, listed, &found);
        Ok(known.map(|known| Box::new(known.verified(source.crc64))))
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

    /// What the object of an entry is to hold, read from the source.
    pub(crate) async fn source_content(
        &self,
        entry: &SourceEntry,
    ) -> Result<ReadBack, ItemFailure> {
        let mut handle = entry.node.handle.clone();
        let mut tries = 1;
        loop {
            match self.content_at(&handle, entry).await {
                Ok(content) => return Ok(content),
                Err(Unread::Stale(_)) if tries < HANDLES_MAX => {}
                Err(Unread::Stale(error)) => return Err(ItemFailure::of_source(&error)),
                Err(Unread::Failed(failure)) => return Err(failure),
            }
            tries += 1;
            let found = locate(&*self.source, &entry.path, &self.attempts).await;
            let found = found.map_err(|error| ItemFailure::of_source(&error))?;
            handle = found.ok_or_else(ItemFailure::vanished)?.handle;
        }
    }

    async fn content_at(&self, handle: &Handle, entry: &SourceEntry) -> Result<ReadBack, Unread> {
        match content_of(entry.node.attributes.kind, &self.options) {
            Some(Content::Empty) | None => Ok(ReadBack {
                size: 0,
                crc64: Crc64::EMPTY,
            }),
            Some(Content::LinkTarget) => {
                let target = self
                    .attempts
                    .run(|| self.source.read_link(handle))
                    .await
                    .map_err(ReadError::Source)?;
                Ok(ReadBack {
                    size: target.len() as u64,
                    crc64: Crc64::of(&target),
                })
            }
            Some(Content::File) => self.file_content(handle, entry).await,
        }
    }

    async fn file_content(&self, handle: &Handle, entry: &SourceEntry) -> Result<ReadBack, Unread> {
        let version = Version {
            source: &*self.source,
            attempts: &self.attempts,
            file: handle,
            fingerprint: entry.node.attributes.fingerprint(),
        };
        let size = version.fingerprint.size;
        let mut crc64 = Crc64::EMPTY;
        let mut offset = 0;
        while offset < size {
            let length = STEP.min(size - offset);
            let reservation = self.budget.reserve(length).await.map_err(|error| {
                Unread::Failed(ItemFailure::new(ErrorCode::NotSupported, error.to_string()))
            })?;
            crc64 = crc64.followed_by(version.range(offset, length).await?.crc64, length);
            offset += length;
            drop(reservation);
        }
        let stable = version.is_current(None).await.map_err(ReadError::Source)?;
        if !stable {
            return Err(ReadError::Changed.into());
        }
        Ok(ReadBack { size, crc64 })
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

fn changed_or_fault(error: ReadError) -> ItemFailure {
    match error {
        ReadError::Changed => ItemFailure::new(
            ErrorCode::SourceChanged,
            "the file changed while it was verified: run the task again",
        ),
        ReadError::Short {
            announced,
            delivered,
        } => ItemFailure::short(announced, delivered),
        ReadError::Long { announced } => ItemFailure::long(announced),
        ReadError::Source(error) => ItemFailure::of_source(&error),
    }
}
