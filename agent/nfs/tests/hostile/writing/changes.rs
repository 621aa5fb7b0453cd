//! What the destination is asked for, and whether it came true.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use datasync_endpoint::{
    Crc64, Destination, DeviceNumbers, EndpointError, ExtendedMetadata, Key, ObjectHeader,
    ObjectIdentifier, ObjectState, PartReceipt, PartStream, Payload, PosixMetadata, Source,
    Timestamp, Unpaced, Xattrs,
};
use datasync_nfs::NfsDestination;
use futures::{StreamExt, stream};

use crate::server::{Disk, Node};

/// An item is some calls, and makes a session before them.
const ITEM_MAX: Duration = Duration::from_secs(20);
const CHUNK: usize = 1000;
const CHUNKS: usize = 5;
const OWNER: u32 = 7;
const TARGET: &[u8] = b"../somewhere/else";
const DEVICE: DeviceNumbers = DeviceNumbers { major: 8, minor: 3 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file of one WRITE.
    Small,
    /// A file of some.
    File,
    /// A file that must not be there.
    NewFile,
    Parts,
    Stream,
    Link,
    Device,
    Directory,
    /// One more name for a file.
    Name,
    NewName,
    Metadata,
    Delete,
}

impl Change {
    pub(crate) const ALL: [Self; 12] = [
        Self::Small,
        Self::File,
        Self::NewFile,
        Self::Parts,
        Self::Stream,
        Self::Link,
        Self::Device,
        Self::Directory,
        Self::Name,
        Self::NewName,
        Self::Metadata,
        Self::Delete,
    ];
    /// Those that need a COMMIT.
    pub(crate) const COMMITTED: [Self; 4] = [Self::File, Self::NewFile, Self::Parts, Self::Stream];

    fn permissions(self) -> u32 {
        match self {
            Self::Link => 0o120_777,
            Self::Device => 0o060_600,
            Self::Directory => 0o040_750,
            _ => 0o100_640,
        }
    }

    pub(crate) fn content(self) -> Vec<u8> {
        let length = match self {
            Self::Link => return TARGET.to_vec(),
            Self::Device | Self::Directory => 0,
            Self::Small | Self::Name | Self::NewName | Self::Metadata | Self::Delete => 100,
            Self::File | Self::NewFile | Self::Parts | Self::Stream => CHUNKS * CHUNK,
        };
        // No byte is zero: none is left out.
        let bytes = (0..length).map(|at: usize| 1 + u8::try_from(at * 7 % 251).unwrap());
        bytes.collect()
    }

    fn payload(self) -> Payload {
        let content = self.content();
        let chunks = content.chunks(CHUNK).map(Bytes::copy_from_slice);
        Payload {
            chunks: chunks.collect(),
            length: content.len() as u64,
            crc64: Crc64::of(&content),
            pace: Arc::new(Unpaced),
        }
    }

    fn stream(self) -> PartStream {
        let payload = self.payload();
        PartStream {
            chunks: stream::iter(payload.chunks.into_iter().map(Ok)).boxed(),
            length: payload.length,
            pace: payload.pace,
        }
    }

    fn metadata(self) -> PosixMetadata {
        let time = Some(Timestamp {
            seconds: 1_000_000_000,
            nanoseconds: 5,
        });
        PosixMetadata {
            owner: Some(OWNER),
            group: Some(OWNER),
            permissions: Some(self.permissions()),
            mtime: time,
            atime: time,
            device: (self == Self::Device).then_some(DEVICE),
        }
    }
}

/// A change of an entry that no other trial has.
pub(crate) struct Trial {
    pub(crate) change: Change,
    pub(crate) path: String,
    /// What must be there before.
    before: Option<(String, ObjectState)>,
}

fn key(path: &str) -> Key {
    Key::from_listing(path.to_owned())
}

impl Trial {
    pub(crate) async fn prepare(change: Change, destination: &NfsDestination, number: u64) -> Self {
        let slash = if change == Change::Directory { "/" } else { "" };
        let path = format!("{number}/entry{slash}");
        let before = match change {
            Change::Name | Change::NewName => Some(format!("{number}/before")),
            Change::Metadata | Change::Delete => Some(path.clone()),
            _ => None,
        };
        let mut trial = Self {
            change,
            path,
            before: None,
        };
        if let Some(before) = before {
            let header = trial.header(destination);
            let key = key(&before);
            let put = destination.put(&key, &header, change.payload());
            Box::pin(put).await.unwrap();
            let state = Box::pin(destination.stat(&key)).await.unwrap().unwrap();
            trial.before = Some((before, state));
        }
        trial
    }

    /// With all that the version can keep.
    fn header(&self, destination: &NfsDestination) -> ObjectHeader {
        let kinds = destination.tree().unwrap().extended_kinds();
        let mut xattrs = Xattrs::default();
        assert!(xattrs.add(b"colour", b"red"));
        let extended = ExtendedMetadata {
            acl: Some("A::OWNER@:rw".parse().unwrap()),
            xattrs,
        };
        ObjectHeader {
            metadata: self.change.metadata(),
            storage_class: None,
            only_if_absent: self.change == Change::NewFile,
            properties: None,
            extended: (!kinds.is_none()).then(|| Box::new(extended.only(kinds))),
        }
    }

    /// Carries it out, in time.
    pub(crate) async fn run(&self, destination: &NfsDestination) -> Result<(), EndpointError> {
        let begun = Instant::now();
        let ended = Box::pin(self.within(destination)).await;
        assert!(begun.elapsed() < ITEM_MAX, "{:?}", self.change);
        if let Err(error) = &ended {
            assert!(!error.detail.is_empty() && error.detail.len() < 2048);
        }
        ended
    }

    async fn within(&self, destination: &NfsDestination) -> Result<(), EndpointError> {
        let (key, header) = (key(&self.path), self.header(destination));
        match (self.change, &self.before) {
            (Change::Parts | Change::Stream, _) => self.in_parts(destination).await,
            (Change::Name | Change::NewName, Some(before)) => {
                let (to, is_new) = (identifier(before), self.change == Change::NewName);
                let link = destination.link(&key, &to, is_new);
                Box::pin(link).await.map(drop)
            }
            (Change::Metadata, Some((_, state))) => {
                let metadata = PosixMetadata {
                    permissions: Some(0o100_604),
                    ..self.change.metadata()
                };
                let set = destination.set_metadata(&key, state, &metadata, None);
                Box::pin(set).await.map(drop)
            }
            (Change::Delete, Some(before)) => {
                let objects = [identifier(before)];
                Box::pin(destination.delete(&objects)).await.remove(0)
            }
            _ => {
                let put = destination.put(&key, &header, self.change.payload());
                Box::pin(put).await.map(drop)
            }
        }
    }

    async fn in_parts(&self, destination: &NfsDestination) -> Result<(), EndpointError> {
        let (key, header) = (key(&self.path), self.header(destination));
        let payload = self.change.payload();
        let upload = Box::pin(destination.create_upload(&key, &header, payload.length)).await?;
        let crc64 = payload.crc64;
        let part: PartReceipt = if self.change == Change::Parts {
            Box::pin(destination.upload_part(&key, &upload, 1, payload)).await?
        } else {
            let stream = self.change.stream();
            Box::pin(destination.stream_part(&key, &upload, 1, stream)).await?
        };
        assert_eq!(part.crc64, crc64);
        let parts = [part];
        let completed = destination.complete_upload(&key, &upload, &header, &parts, crc64);
        Box::pin(completed).await.map(drop)
    }

    /// Whether it came true, as the server sees it.
    pub(crate) fn is_seen(&self, disk: &Disk) -> bool {
        self.is_there(disk, |node| &node.seen)
    }

    /// Whether it is still true after a restart.
    pub(crate) fn is_kept(&self, disk: &Disk) -> bool {
        self.is_there(disk, |node| &node.kept)
    }

    /// Whether the entry is not there at all.
    pub(crate) fn is_absent(&self, disk: &Disk) -> bool {
        disk.find(&self.path).is_none()
    }

    fn is_there(&self, disk: &Disk, content: fn(&Node) -> &Vec<u8>) -> bool {
        let Some(node) = disk.find(&self.path) else {
            return self.change == Change::Delete;
        };
        let permissions = match self.change {
            Change::Delete => return false,
            Change::Metadata => 0o604,
            // What a link has of them nobody looks at.
            Change::Link => node.mode,
            change => change.permissions() & 0o7777,
        };
        let is_linked = match (self.change, &self.before) {
            (Change::Name | Change::NewName, Some((before, _))) => {
                disk.find(before).unwrap().number == node.number
            }
            _ => true,
        };
        let is_device = [DEVICE.major, DEVICE.minor] == node.device;
        is_linked
            && *content(node) == self.change.content()
            && node.mode == permissions
            && node.owners == [OWNER; 2]
            && (self.change != Change::Device || is_device)
    }
}

fn identifier((path, state): &(String, ObjectState)) -> ObjectIdentifier {
    ObjectIdentifier {
        key: key(path),
        etag: state.etag.clone(),
    }
}
