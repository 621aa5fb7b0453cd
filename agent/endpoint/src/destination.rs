//! The destination side: ordered listing, verified writes, metadata, deletes.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use datasync_model::RequestCounts;
use serde::{Deserialize, Serialize};

use crate::{
    Algorithm, Checksum, Crc64, EndpointError, EntryKind, ErrorKind, ExtendedMetadata, Key,
    ObjectChecksum, ObjectProperties, Pace, PartStream, PosixMetadata, Source, StoredObject,
    Timestamp,
};

/// What a successful write proves, as the probe of the store showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// The store refuses a wrong CRC-64/NVME and answers with its own.
    Crc64,
    /// The store refuses a wrong checksum of this algorithm, of objects and of parts, and answers
    /// with its own.
    Checksum(Algorithm),
    /// The store refuses a wrong Content-MD5, and that is sent with every body.
    Md5,
    /// A success proves nothing: every object is read back.
    ReadBack,
}

impl Integrity {
    /// The algorithm by which objects are proven, where it is not CRC-64/NVME.
    #[must_use]
    pub fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Checksum(algorithm) => Some(algorithm),
            Self::Crc64 | Self::Md5 | Self::ReadBack => None,
        }
    }
}

/// Limits and abilities of a destination.
#[derive(Debug, Clone)]
pub struct Abilities {
    /// What a successful write proves.
    pub integrity: Integrity,
    /// The largest object in bytes.
    pub object_max: u64,
    /// The largest body of a single put in bytes.
    pub put_max: u64,
    /// The smallest part but the last, in bytes.
    pub part_min: u64,
    /// The largest part in bytes.
    pub part_max: u64,
    /// The most parts of one upload.
    pub parts_max: u32,
    /// The longest key, relative to the location, in bytes of UTF-8.
    pub key_max: usize,
    /// Whether the location's own root is an object that can be written (a prefix was given).
    pub has_root: bool,
    /// Whether symbolic links keep the times that they are given; some file systems let nobody set
    /// them.
    pub keeps_link_times: bool,
    /// Bytes of user metadata that an object takes, names and values together. `None` for a file
    /// system: there every entry has an access control list of its own.
    pub user_metadata_max: Option<usize>,
}

const MEBIBYTE: u64 = 1 << 20;
/// The smallest part but the last of any upload, in bytes.
const PART_MIN: u64 = 8 * MEBIBYTE;

/// The length in bytes of every part but the last of an upload of `size` bytes in at most
/// `parts_max` parts: 8 MiB, or as many whole MiB as are needed.
#[must_use]
pub fn part_length(size: u64, parts_max: u32) -> u64 {
    let needed = size.div_ceil(u64::from(parts_max.max(1)));
    let whole = needed.div_ceil(MEBIBYTE).saturating_mul(MEBIBYTE);
    whole.max(PART_MIN)
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Relative to the location.
    pub key: Key,
    /// In bytes.
    pub size: u64,
    /// As the store writes it, quotes included.
    pub etag: String,
    /// When the store says that it was written.
    pub last_modified: Timestamp,
    /// In S3's words; absent where the store has none.
    pub storage_class: Option<String>,
}

/// A page of a listing, in key order; the implementation refuses a store that breaks the order.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ListedObject>,
    /// Whether more may follow after the last of these.
    pub more: bool,
}

/// What HEAD tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// What the entry is; `None` where only the metadata can tell: in a store.
    pub kind: Option<EntryKind>,
    /// In bytes.
    pub size: u64,
    /// As the store writes it, quotes included.
    pub etag: String,
    /// The POSIX metadata found on it.
    pub metadata: PosixMetadata,
    /// Access control list and extended attributes found on it; of a file system those that it was
    /// opened for.
    pub extended: Option<Box<ExtendedMetadata>>,
    /// The store's full-object CRC-64/NVME, where it has one and computes it itself.
    pub crc64: Option<Crc64>,
    /// The store's own checksum, where there is one of [`Integrity::Checksum`].
    pub checksum: Option<ObjectChecksum>,
    /// In S3's words; absent where the store has none.
    pub storage_class: Option<String>,
}

/// What an object is written with, besides its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHeader {
    /// POSIX metadata, already reduced to what the options keep.
    pub metadata: PosixMetadata,
    /// Class of an object that exists already and is replaced: it is kept (S3's word).
    /// `None`: the location's class, with its size floors.
    pub storage_class: Option<String>,
    /// Write only if no object of that key exists (OverwriteMode NEVER).
    pub only_if_absent: bool,
    /// What the source's object carries besides, where the source is an object store and the options
    /// keep it. User metadata of the names of `metadata` give way to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Box<ObjectProperties>>,
    /// Access control list and extended attributes, where they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<Box<ExtendedMetadata>>,
}

/// A body in memory, with the checksum computed over the very buffers that were read.
#[derive(Clone)]
pub struct Payload {
    /// The bytes, in order; never empty chunks.
    pub chunks: Vec<Bytes>,
    /// The sum of the chunks' lengths.
    pub length: u64,
    /// Over all chunks.
    pub crc64: Crc64,
    /// Grants for every slice written, on each attempt.
    pub pace: Arc<dyn Pace>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload")
            .field("length", &self.length)
            .field("crc64", &self.crc64)
            .finish()
    }
}

/// The store's acknowledgement of a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// As the store writes it, quotes included.
    pub etag: String,
    /// Where the bucket is versioned.
    pub version_id: Option<String>,
    /// Whether the store vouched for the content as [`Abilities::integrity`] describes, or, of a
    /// file system, whether the content was read back before it got its name; otherwise the caller must
    /// read back.
    pub vouched: bool,
    /// The store's checksum of the object, which is ours ([`Integrity::Checksum`]).
    #[serde(default)]
    pub checksum: Option<ObjectChecksum>,
    /// What the store said of the time: of the write, or of its answer; `None` if nothing.
    #[serde(default)]
    pub date: Option<Timestamp>,
}

/// The name of a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UploadId(pub String);

/// The store's acknowledgement of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReceipt {
    /// 1 to 10,000.
    pub number: u32,
    /// As the store writes it, quotes included.
    pub etag: String,
    /// Of the part's bytes, as sent and vouched for.
    pub crc64: Crc64,
    /// The one that the store proved the part by ([`Integrity::Checksum`]): the upload is completed
    /// with it.
    #[serde(default)]
    pub checksum: Option<Checksum>,
    /// Of the part in bytes.
    pub length: u64,
}

/// A part of an open upload, as the store lists it ("ListParts").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// 1 to 10,000.
    pub number: u32,
    /// As the store writes it, quotes included.
    pub etag: String,
    /// Of the part in bytes.
    pub length: u64,
    /// Of the part's bytes, where the store computed it itself ([`Integrity::Crc64`]).
    pub crc64: Option<Crc64>,
    /// The same of [`Integrity::Checksum`].
    pub checksum: Option<Checksum>,
}

/// A multipart upload that the store lists as open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// Its name.
    pub id: UploadId,
    /// When the store says that it began.
    pub initiated: Timestamp,
}

/// The most objects that one [`Destination::delete`] takes ("DeleteObjects", Amazon S3 API
/// reference).
pub const DELETE_MAX: usize = 1_000;

/// What one [`Destination::settle`] did.
#[derive(Debug, Default)]
pub struct Settled {
    /// What could not be put right, by its key; at most 1,000.
    pub failed: Vec<(Key, EndpointError)>,
    /// Whether something is left.
    pub more: bool,
}

/// An object as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectIdentifier {
    /// Relative to the location.
    pub key: Key,
    /// As the store wrote it, quotes included.
    pub etag: String,
}

/// What reading an object back gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBack {
    /// In bytes.
    pub size: u64,
    /// Over the bytes that came back.
    pub crc64: Crc64,
}

/// Where objects go. All calls may run concurrently on one value; dropping a call cancels the
/// request on a best-effort basis (its effect is then unknown).
///
/// Implementations answer transient errors as they are; retrying is the engine's decision.
pub trait Destination: Send + Sync + 'static {
    /// What the destination is walked by, where it is a tree of files; [`crate::NoTree`] for stores.
    type Tree: Source;

    /// Limits and abilities, known after the store was opened and probed.
    fn abilities(&self) -> &Abilities;

    /// Requests made so far, retries included, in the words of the protocol; none where nobody
    /// counts them.
    fn requests(&self) -> RequestCounts {
        RequestCounts::default()
    }

    /// The destination as a tree of files; `None` for a store of objects.
    ///
    /// It is listed by walking it: [`Destination::list`] is not for trees. Its root is always there,
    /// every key has the directories above it as objects, and a name in one of them is a directory
    /// or something else, not both. A directory is deleted only if nothing is in it.
    fn tree(&self) -> Option<Arc<Self::Tree>> {
        None
    }

    /// Objects with keys greater than `after`, in key order, at most 1000.
    fn list(
        &self,
        after: Option<&Key>,
    ) -> impl Future<Output = Result<ListPage, EndpointError>> + Send;

    /// Present state of one object; `Ok(None)` only if the store said that it does not exist.
    fn stat(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<Option<ObjectState>, EndpointError>> + Send;

    /// Writes a whole object of at most [`Abilities::put_max`] bytes.
    fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> impl Future<Output = Result<Receipt, EndpointError>> + Send;

    /// Whether [`Destination::copy`] may do for such an object.
    fn may_copy(&self, _from: &StoredObject) -> bool {
        false
    }

    /// Copies an object within the store, so that its content does not pass through here: `None` if it
    /// is to be read and written. The content is that which the store told of the original; the receipt
    /// is vouched if it told the same of the copy. An original that is gone or another is a
    /// [`crate::ErrorKind::Stale`]. An object larger than [`Abilities::put_max`] is copied by a
    /// multipart upload of its key, which may stay open if the call gives up, fails or is dropped.
    fn copy(
        &self,
        _key: &Key,
        _header: &ObjectHeader,
        _from: &StoredObject,
    ) -> impl Future<Output = Result<Option<(ReadBack, Receipt)>, EndpointError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Gives `key` the file that `to` names, as one more name of it (a hard link), in place of what
    /// has that key; nothing happens to a name that it has already. A file at `to` that is another one
    /// than its ETag says ([`crate::is_same_entry`]) is a [`crate::ErrorKind::NotFound`]; with
    /// `only_if_absent` a name that another file has is a [`crate::ErrorKind::Precondition`]. A file
    /// that cannot have one more name is a [`crate::ErrorKind::NotSupported`], as it is with all files
    /// of a store of objects.
    fn link(
        &self,
        key: &Key,
        _to: &ObjectIdentifier,
        _only_if_absent: bool,
    ) -> impl Future<Output = Result<Receipt, EndpointError>> + Send {
        let target = key.as_str().escape_debug().to_string();
        let detail = "an object has one key";
        let refused = EndpointError::new(ErrorKind::NotSupported, "LINK", target, detail);
        std::future::ready(Err(refused))
    }

    /// Begins a multipart upload of `size` bytes in all.
    fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> impl Future<Output = Result<UploadId, EndpointError>> + Send;

    /// Uploads one part.
    fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> impl Future<Output = Result<PartReceipt, EndpointError>> + Send;

    /// Uploads one part that is read while it is sent. The receipt's checksum is that of the bytes
    /// which were taken from the stream; where the store tells one of its own, they are equal.
    fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> impl Future<Output = Result<PartReceipt, EndpointError>> + Send;

    /// Completes an upload from its parts in order; `crc64` is of the whole object.
    fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> impl Future<Output = Result<Receipt, EndpointError>> + Send;

    /// Aborts an upload; one that does not exist (any more) is a success.
    fn abort_upload(
        &self,
        key: &Key,
        upload: &UploadId,
    ) -> impl Future<Output = Result<(), EndpointError>> + Send;

    /// Open uploads of exactly this key.
    fn open_uploads(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<Vec<OpenUpload>, EndpointError>> + Send;

    /// The parts of an open upload, in order of their numbers, at most 10,000. An upload that does
    /// not exist (any more) is a [`crate::ErrorKind::NotFound`].
    fn parts(
        &self,
        key: &Key,
        upload: &UploadId,
    ) -> impl Future<Output = Result<Vec<StoredPart>, EndpointError>> + Send;

    /// Replaces the POSIX metadata, keeping content, storage class, content type and tags; and access
    /// control list and extended attributes, where there are new ones.
    /// `current` is the state as of a [`Destination::stat`]; a different present state is a
    /// [`crate::ErrorKind::Precondition`]. An object larger than [`Abilities::put_max`] is copied
    /// by a multipart upload of its key, which may stay open if the call fails or is dropped.
    fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> impl Future<Output = Result<Receipt, EndpointError>> + Send;

    /// Reads the object and checksums it.
    fn read_back(&self, key: &Key) -> impl Future<Output = Result<ReadBack, EndpointError>> + Send;

    /// Deletes objects, at most [`DELETE_MAX`]: each if its ETag still is the one given (checked
    /// by the store where it can, else unconditionally). One that does not exist is a success.
    /// The answer has one outcome for each object, in the order given.
    fn delete(
        &self,
        objects: &[ObjectIdentifier],
    ) -> impl Future<Output = Vec<Result<(), EndpointError>>> + Send;

    /// Puts right what writing and deleting have left behind: the times of directories, which every
    /// change in them changes. Called again and again once all is written and deleted, until nothing
    /// more is left; from the beginning where the process was killed meanwhile.
    fn settle(&self) -> impl Future<Output = Result<Settled, EndpointError>> + Send {
        async { Ok(Settled::default()) }
    }
}
