//! What an entry's object is to hold.

use bytes::Bytes;
use datasync_endpoint::{
    Crc64, Destination, EndpointError, ErrorKind, Handle, ObjectChecksum, ObjectHasher, ReadBack,
    Source,
};
use datasync_model::ErrorCode;

use super::Verifier;
use crate::locate::locate;
use crate::outcome::ItemFailure;
use crate::plan::{Content, PartLayout, content_of};
use crate::read::{ReadError, Version};
use crate::walk::SourceEntry;

/// What an entry's object is to hold, read from the source or known of what was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceContent {
    pub(crate) read: ReadBack,
    /// As the store's own, where it has one and proves contents by that.
    pub(crate) checksum: Option<ObjectChecksum>,
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
    /// What the object of an entry is to hold, read from the source.
    pub(crate) async fn source_content(
        &self,
        entry: &SourceEntry,
    ) -> Result<ReadBack, ItemFailure> {
        Ok(self.source_like(entry, None).await?.read)
    }

    /// The same with a checksum that can be compared with what the store tells of the object; none if
    /// that is of other parts than ours.
    pub(crate) async fn source_like(
        &self,
        entry: &SourceEntry,
        told: Option<ObjectChecksum>,
    ) -> Result<SourceContent, ItemFailure> {
        let mut handle = entry.node.handle.clone();
        let mut tries = 1;
        loop {
            match self.content_at(&handle, entry, told).await {
                Ok(content) => return Ok(content),
                Err(Unread::Stale(_)) if tries < HANDLES_MAX => {}
                Err(Unread::Stale(error)) => return Err(ItemFailure::of_source(&error)),
                Err(Unread::Failed(failure)) => return Err(failure),
            }
            tries += 1;
            let is_directory = entry.key.is_directory();
            let found = locate(&*self.source, &entry.path, is_directory, &self.attempts).await;
            let found = found.map_err(|error| ItemFailure::of_source(&error))?;
            handle = found.ok_or_else(ItemFailure::vanished)?.handle;
        }
    }

    async fn content_at(
        &self,
        handle: &Handle,
        entry: &SourceEntry,
        told: Option<ObjectChecksum>,
    ) -> Result<SourceContent, Unread> {
        let content = match content_of(entry.node.attributes.kind, &self.options) {
            Some(Content::Empty) | None => Bytes::new(),
            Some(Content::LinkTarget) => self
                .attempts
                .run(|| self.source.read_link(handle))
                .await
                .map_err(ReadError::Source)?,
            Some(Content::File) => return self.file_content(handle, entry, told).await,
        };
        let size = content.len() as u64;
        let checksum = told.and_then(|told| self.hasher_like(size, told));
        let checksum = checksum.map(|mut hasher| {
            hasher.update(&content);
            hasher.finish()
        });
        let crc64 = Crc64::of(&content);
        let read = ReadBack { size, crc64 };
        Ok(SourceContent { read, checksum })
    }

    /// Computes what the store tells of an object of `size` bytes that is as we send it.
    fn hasher_like(&self, size: u64, told: ObjectChecksum) -> Option<ObjectHasher> {
        let algorithm = told.checksum.algorithm();
        let Some(parts) = told.parts else {
            return Some(ObjectHasher::new(algorithm, None));
        };
        let limits = self.destination.abilities();
        let layout = PartLayout::of(size, limits.parts_max);
        let part = layout.part.min(limits.part_max).max(1);
        let is_ours = size.div_ceil(part) == u64::from(parts);
        is_ours.then(|| ObjectHasher::new(algorithm, Some(part)))
    }

    async fn file_content(
        &self,
        handle: &Handle,
        entry: &SourceEntry,
        told: Option<ObjectChecksum>,
    ) -> Result<SourceContent, Unread> {
        let version = Version {
            source: &*self.source,
            attempts: &self.attempts,
            file: handle,
            fingerprint: entry.node.attributes.fingerprint(),
        };
        let size = version.fingerprint.size;
        let mut hasher = told.and_then(|told| self.hasher_like(size, told));
        let mut crc64 = Crc64::EMPTY;
        let mut offset = 0;
        while offset < size {
            let length = STEP.min(size - offset);
            let reservation = self.budget.reserve(length).await.map_err(|error| {
                Unread::Failed(ItemFailure::new(ErrorCode::NotSupported, error.to_string()))
            })?;
            let range = version.range(offset, length).await?;
            crc64 = crc64.followed_by(range.crc64, length);
            if let Some(before) = hasher {
                hasher = Some(hashed(before, &range.chunks).await);
            }
            offset += length;
            drop(reservation);
        }
        let stable = version.is_current(None).await.map_err(ReadError::Source)?;
        if !stable {
            return Err(ReadError::Changed.into());
        }
        Ok(SourceContent {
            read: ReadBack { size, crc64 },
            checksum: hasher.map(ObjectHasher::finish),
        })
    }
}

/// Takes `chunks` in. A hash may take some milliseconds per MiB: others may run in between.
pub(crate) async fn hashed(mut hasher: ObjectHasher, chunks: &[Bytes]) -> ObjectHasher {
    for chunk in chunks {
        hasher.update(chunk);
        tokio::task::yield_now().await;
    }
    hasher
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
