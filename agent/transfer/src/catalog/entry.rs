//! What is remembered of an object and of the source's entry that it was made of.

use std::time::Duration;

use datasync_endpoint::{
    Attributes, Crc64, Fingerprint, ListedObject, ObjectState, PosixMetadata, Receipt, Timestamp,
};
use serde::{Deserialize, Serialize};

/// Longer names of storage classes are not remembered, in bytes.
pub(super) const CLASS_MAX: usize = 64;
/// Stores tell whole seconds, rounded in either direction.
const GRANULARITY_SECONDS: i64 = 1;

/// One object as HEAD would tell it, and the source as it was then.
///
/// It says nothing of an object that a listing tells otherwise ([`Entry::agrees_with`]), so that an
/// entry which is out of date costs a request and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Of the source when the object was written, or last found to be the same.
    pub(crate) source: Fingerprint,
    /// Of the object in bytes.
    pub(crate) size: u64,
    /// The CRC-64 of the ETag's text: the listing has the text itself.
    pub(crate) etag: u64,
    /// When the store wrote the object.
    pub(crate) written: Window,
    /// In S3's words; `None` if it was not listed yet, or the store has none.
    pub(crate) storage_class: Option<String>,
    /// On the object; without the time of access, which is never compared.
    pub(crate) metadata: PosixMetadata,
    /// Of the object's content, where it is known.
    pub(crate) crc64: Option<Crc64>,
    /// Whether the store computed that or another checksum itself, and a verification read the source
    /// and compared.
    pub(crate) is_proven: bool,
}

/// A span of the store's clock, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

impl Window {
    /// A time that a listing told.
    pub(crate) fn exact(at: Timestamp) -> Self {
        Self {
            earliest: at,
            latest: at,
        }
    }

    /// Of a write that was answered at `date` and took so long, retries included. A multipart upload
    /// may bear the date of its beginning, as at AWS.
    pub(crate) fn of_answer(date: Timestamp, took: Duration) -> Self {
        let took = i64::try_from(took.as_secs()).unwrap_or(i64::MAX);
        let shifted = |seconds: i64| Timestamp {
            seconds: date.seconds.saturating_add(seconds),
            ..date
        };
        Self {
            earliest: shifted(-took.saturating_add(2 * GRANULARITY_SECONDS)),
            latest: shifted(GRANULARITY_SECONDS),
        }
    }

    pub(crate) fn is_exact(self) -> bool {
        self.earliest == self.latest
    }

    fn contains(self, at: Timestamp) -> bool {
        self.earliest <= at && at <= self.latest
    }
}

fn hash(etag: &str) -> u64 {
    Crc64::of(etag.as_bytes()).0
}

fn class(listed: &ListedObject) -> Option<String> {
    let class = listed.storage_class.as_ref();
    class.filter(|class| class.len() <= CLASS_MAX).cloned()
}

fn compared(metadata: &PosixMetadata) -> PosixMetadata {
    PosixMetadata {
        atime: None,
        ..*metadata
    }
}

impl Entry {
    /// An object that was just written, with `metadata` and content of this size and checksum; `None`
    /// if the store does not tell the time, and of a device, whose numbers are not remembered.
    pub(crate) fn written(
        source: &Attributes,
        metadata: &PosixMetadata,
        (size, crc64): (u64, Option<Crc64>),
        receipt: &Receipt,
        took: Duration,
    ) -> Option<Self> {
        if metadata.device.is_some() {
            return None;
        }
        Some(Self {
            source: source.fingerprint(),
            size,
            etag: hash(&receipt.etag),
            written: Window::of_answer(receipt.date?, took),
            storage_class: None,
            metadata: compared(metadata),
            crc64,
            is_proven: false,
        })
    }

    /// An object that HEAD found to be as the source is; `None` if it is not the listed one any
    /// more. HEAD came after the listing, so what it tells is of the listed object or newer.
    pub(crate) fn found(
        source: &Attributes,
        listed: &ListedObject,
        found: &ObjectState,
    ) -> Option<Self> {
        let is_listed = found.etag == listed.etag && found.size == listed.size;
        (is_listed && found.metadata.device.is_none()).then(|| Self {
            source: source.fingerprint(),
            size: found.size,
            etag: hash(&found.etag),
            written: Window::exact(listed.last_modified),
            storage_class: class(listed),
            metadata: compared(&found.metadata),
            crc64: found.crc64,
            is_proven: false,
        })
    }

    /// This entry of what HEAD found, after the source was read and had this checksum, as the object
    /// has by reading it back or by the store's own word: that of its CRC-64, or `is_told` by that of
    /// another checksum.
    pub(crate) fn verified(self, crc64: Crc64, is_told: bool) -> Self {
        Self {
            is_proven: self.crc64.is_some() || is_told,
            crc64: Some(crc64),
            ..self
        }
    }

    /// Whether the checksum was computed over what the source delivered, and not taken from the store:
    /// of a write that no listing has confirmed yet, or of a verification.
    pub(crate) fn is_of_source(&self) -> bool {
        self.is_proven || !self.written.is_exact()
    }

    /// This entry after a listing agreed with it, and the source was found to be the same.
    pub(crate) fn confirmed(&self, source: &Attributes, listed: &ListedObject) -> Self {
        Self {
            source: source.fingerprint(),
            written: Window::exact(listed.last_modified),
            storage_class: class(listed),
            ..self.clone()
        }
    }

    /// Whether a confirmation by this source and listing would leave the entry as it is.
    pub(crate) fn is_confirmed(&self, source: &Attributes, listed: &ListedObject) -> bool {
        let class = listed.storage_class.as_deref();
        self.source == source.fingerprint()
            && self.written == Window::exact(listed.last_modified)
            && self.storage_class.as_deref() == class.filter(|class| class.len() <= CLASS_MAX)
    }

    /// Whether the listed object is the remembered one.
    pub(crate) fn agrees_with(&self, listed: &ListedObject) -> bool {
        let same_class = self.storage_class.is_none() || self.storage_class == listed.storage_class;
        self.size == listed.size
            && self.etag == hash(&listed.etag)
            && self.written.contains(listed.last_modified)
            && same_class
    }

    /// Whether the listed object has other content than the remembered one, for all that is known;
    /// `crc64` is what the store tells of it now.
    pub(crate) fn is_replaced(&self, listed: &ListedObject, crc64: Option<Crc64>) -> bool {
        let is_same = crc64.is_some() && self.crc64 == crc64;
        self.etag != hash(&listed.etag) && !is_same
    }

    /// What HEAD would tell of it, as far as it is compared.
    pub(crate) fn as_state(&self) -> ObjectState {
        ObjectState {
            kind: None,
            size: self.size,
            etag: String::new(),
            metadata: self.metadata,
            crc64: self.crc64,
            checksum: None,
            storage_class: None,
            extended: None,
        }
    }
}
