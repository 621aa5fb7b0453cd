//! A tree of equal directories and its copy, neither of which is stored anywhere.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use datasync_endpoint::{
    Abilities, Attributes, Crc64, Destination, DirCursor, DirEntry, DirPage, EndpointError,
    EntryKind, ErrorKind, ExtendedMetadata, Handle, Integrity, Key, ListPage, ListedObject, NoTree,
    Node, ObjectHeader, ObjectIdentifier, ObjectState, OpenUpload, PartReceipt, PartStream,
    Payload, PosixMetadata, ReadBack, ReadReply, Receipt, Source, StoredPart, Timestamp, UploadId,
};

const READDIR_PAGE: u64 = 1_000;
const LIST_PAGE: u64 = 1_000;
const HANDLE_BYTES: usize = 32;
const ROOT: u64 = u64::MAX;

/// So many directories below the root, each with so many files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) directories: u64,
    pub(crate) files: u64,
}

impl Shape {
    pub(crate) fn entries(self) -> u64 {
        self.directories * (self.files + 1)
    }

    /// Appends the key of the entry with this number, in key order: a directory, then its files.
    fn write_key(self, number: u64, into: &mut String) {
        let (directory, file) = (number / (self.files + 1), number % (self.files + 1));
        // Writing to a string does not fail.
        write!(into, "dir-{directory:06}/").ok();
        if file > 0 {
            write!(into, "file-{:015}", file - 1).ok();
        }
    }

    fn number_of(self, key: &str) -> Option<u64> {
        let (directory, file) = key.strip_prefix("dir-")?.split_once('/')?;
        let first = directory.parse::<u64>().ok()? * (self.files + 1);
        match file.strip_prefix("file-") {
            None => Some(first),
            Some(file) => Some(first + 1 + file.parse::<u64>().ok()?),
        }
    }

    fn attributes(self, number: u64) -> Attributes {
        let is_directory = number.is_multiple_of(self.files + 1);
        let time = Timestamp {
            seconds: 1_700_000_000 + i64::try_from(number * 7 % 90_000_000).unwrap_or(0),
            nanoseconds: u32::try_from(number * 7_919 % 1_000_000_000).unwrap_or(0),
        };
        Attributes {
            kind: if is_directory {
                EntryKind::Directory
            } else {
                EntryKind::File
            },
            mode: if is_directory { 0o755 } else { 0o644 },
            uid: 1_000,
            gid: 1_000,
            size: 4_096,
            nlink: 1,
            file_id: 1_000 + number,
            fsid: 1,
            mtime: time,
            ctime: time,
            atime: time,
            device: None,
        }
    }

    fn object_size(self, number: u64) -> u64 {
        match self.attributes(number) {
            Attributes {
                kind: EntryKind::File,
                size,
                ..
            } => size,
            _ => 0,
        }
    }
}

fn unused<T>(operation: &'static str) -> Result<T, EndpointError> {
    let kind = ErrorKind::NotSupported;
    Err(EndpointError::new(kind, operation, "", "nothing changed"))
}

#[derive(Debug)]
pub(crate) struct SyntheticSource {
    shape: Shape,
}

impl SyntheticSource {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape }
    }
}

impl Source for SyntheticSource {
    fn read_max(&self) -> u32 {
        1 << 20
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        let mut attributes = self.shape.attributes(0);
        attributes.file_id = 1;
        let handle = Handle(Bytes::copy_from_slice(&ROOT.to_le_bytes()));
        Ok(Node { handle, attributes })
    }

    async fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        let bytes = directory.0.first_chunk::<8>();
        let number = u64::from_le_bytes(*bytes.unwrap_or(&[0; 8]));
        let (count, first, step) = if number == ROOT {
            (self.shape.directories, 0, self.shape.files + 1)
        } else {
            (self.shape.files, number + 1, 1)
        };
        let from = cursor.as_ref().and_then(|cursor| cursor.0.first_chunk());
        let from = from.map_or(0, |from| u64::from_le_bytes(*from));
        let to = (from + READDIR_PAGE).min(count);
        // Names and handles of a page share a buffer, as they do in the NFS client.
        let mut buffer = BytesMut::with_capacity((READDIR_PAGE as usize) * (HANDLE_BYTES + 20));
        let mut entries = Vec::with_capacity((to - from) as usize);
        for index in from..to {
            let number = first + index * step;
            if step == 1 {
                write!(buffer, "file-{index:015}").ok();
            } else {
                write!(buffer, "dir-{index:06}").ok();
            }
            let name = buffer.split().freeze();
            buffer.extend_from_slice(&number.to_le_bytes());
            buffer.extend_from_slice(&[7; HANDLE_BYTES - 8]);
            let handle = Handle(buffer.split().freeze());
            let attributes = self.shape.attributes(number);
            entries.push(DirEntry {
                name,
                node: Ok(Node { handle, attributes }),
            });
        }
        let next = Bytes::copy_from_slice(&to.to_le_bytes());
        let next = (to < count).then_some(DirCursor(next));
        Ok(DirPage { entries, next })
    }

    async fn lookup(&self, _: &Handle, _: &[u8]) -> Result<Option<Node>, EndpointError> {
        unused("LOOKUP")
    }

    async fn attributes(&self, _: &Handle) -> Result<Attributes, EndpointError> {
        unused("GETATTR")
    }

    async fn read(&self, _: &Handle, _: u64, _: u32) -> Result<ReadReply, EndpointError> {
        unused("READ")
    }

    async fn read_link(&self, _: &Handle) -> Result<Bytes, EndpointError> {
        unused("READLINK")
    }
}

#[derive(Debug)]
pub(crate) struct SyntheticDestination {
    shape: Shape,
    abilities: Abilities,
    lists: AtomicU64,
    heads: AtomicU64,
}

impl SyntheticDestination {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            abilities: Abilities {
                integrity: Integrity::Crc64,
                object_max: 5 << 40,
                put_max: 5 << 30,
                part_min: 5 << 20,
                part_max: 5 << 30,
                parts_max: 10_000,
                key_max: 1_024,
                has_root: false,
                keeps_link_times: true,
                user_metadata_max: Some(2048),
            },
            lists: AtomicU64::new(0),
            heads: AtomicU64::new(0),
        }
    }

    pub(crate) fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    pub(crate) fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }
}

fn etag(number: u64) -> String {
    format!("{number:032x}")
}

impl Destination for SyntheticDestination {
    type Tree = NoTree;

    fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    async fn list(&self, after: Option<&Key>) -> Result<ListPage, EndpointError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let from = match after {
            None => 0,
            Some(key) => 1 + self.shape.number_of(key.as_str()).unwrap_or(0),
        };
        let to = (from + LIST_PAGE).min(self.shape.entries());
        let object = |number| {
            let mut key = String::with_capacity(32);
            self.shape.write_key(number, &mut key);
            ListedObject {
                key: Key::from_listing(key),
                size: self.shape.object_size(number),
                etag: etag(number),
                last_modified: Timestamp {
                    seconds: 1_760_000_000 + i64::try_from(number / 300).unwrap_or(0),
                    nanoseconds: 0,
                },
                storage_class: Some("STANDARD".to_owned()),
            }
        };
        Ok(ListPage {
            objects: (from..to).map(object).collect(),
            more: to < self.shape.entries(),
        })
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        self.heads.fetch_add(1, Ordering::Relaxed);
        let number = self.shape.number_of(key.as_str());
        Ok(number.map(|number| {
            let attributes = self.shape.attributes(number);
            ObjectState {
                kind: None,
                size: self.shape.object_size(number),
                etag: etag(number),
                metadata: PosixMetadata {
                    owner: Some(attributes.uid),
                    group: Some(attributes.gid),
                    permissions: Some(attributes.kind.mode_bits() | attributes.mode),
                    mtime: Some(attributes.mtime),
                    atime: None,
                    device: None,
                },
                crc64: Some(Crc64(number)),
                checksum: None,
                storage_class: Some("STANDARD".to_owned()),
                extended: None,
            }
        }))
    }

    async fn put(&self, _: &Key, _: &ObjectHeader, _: Payload) -> Result<Receipt, EndpointError> {
        unused("PUT")
    }

    async fn create_upload(
        &self,
        _: &Key,
        _: &ObjectHeader,
        _: u64,
    ) -> Result<UploadId, EndpointError> {
        unused("CreateMultipartUpload")
    }

    async fn upload_part(
        &self,
        _: &Key,
        _: &UploadId,
        _: u32,
        _: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        unused("UploadPart")
    }

    async fn stream_part(
        &self,
        _: &Key,
        _: &UploadId,
        _: u32,
        _: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        unused("UploadPart")
    }

    async fn complete_upload(
        &self,
        _: &Key,
        _: &UploadId,
        _: &ObjectHeader,
        _: &[PartReceipt],
        _: Crc64,
    ) -> Result<Receipt, EndpointError> {
        unused("CompleteMultipartUpload")
    }

    async fn abort_upload(&self, _: &Key, _: &UploadId) -> Result<(), EndpointError> {
        unused("AbortMultipartUpload")
    }

    async fn open_uploads(&self, _: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        unused("ListMultipartUploads")
    }

    async fn parts(&self, _: &Key, _: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        unused("ListParts")
    }

    async fn set_metadata(
        &self,
        _: &Key,
        _: &ObjectState,
        _: &PosixMetadata,
        _: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        unused("CopyObject")
    }

    async fn read_back(&self, _: &Key) -> Result<ReadBack, EndpointError> {
        unused("GET")
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        objects.iter().map(|_| unused("DeleteObjects")).collect()
    }
}
