//! The source that is deceived, and what it does.

use std::time::{Duration, Instant};

use datasync_endpoint::{
    Attributes, DirPage, EndpointError, EntryKind, ErrorKind, Handle, Node, Source, Timestamp,
};
use datasync_model::NfsVersion;
use datasync_nfs::NfsSource;

use crate::server::{CONTENT, NAMES, Server, TARGET, config, server};

/// An operation is a few calls, and makes a session before them.
const OPERATION_MAX: Duration = Duration::from_secs(10);

/// A source that was mounted while the server was honest.
pub(crate) async fn mounted(version: NfsVersion) -> (Server, NfsSource) {
    let server = server(version).await;
    let source = NfsSource::mount(config(&server, version)).await.unwrap();
    (server, source)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Attributes,
    Lookup,
    ReadDir,
    Read,
    ReadLink,
    /// Access control list and extended attributes.
    Extended,
    /// So much that holes are asked for before.
    ReadMost,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Attributes,
        Self::Lookup,
        Self::ReadDir,
        Self::Read,
        Self::ReadLink,
        Self::Extended,
        Self::ReadMost,
    ];

    /// Those that the version has.
    pub(crate) fn of(version: NfsVersion) -> &'static [Self] {
        match version {
            NfsVersion::Nfs3 => &Self::ALL[..5],
            NfsVersion::Nfs4_0 | NfsVersion::Nfs4_1 => &Self::ALL[..6],
            _ => &Self::ALL,
        }
    }

    /// Carries it out, in time. What comes of it is what could be true.
    pub(crate) async fn run(self, source: &NfsSource) -> Result<(), EndpointError> {
        let begun = Instant::now();
        let ended = self.within(source).await;
        assert!(begun.elapsed() < OPERATION_MAX, "{self:?}");
        if let Err(error) = &ended {
            assert!(!error.detail.is_empty() && error.detail.len() < 1024);
        }
        ended
    }

    async fn within(self, source: &NfsSource) -> Result<(), EndpointError> {
        let handle = |name: &'static [u8]| Handle(bytes::Bytes::from_static(name));
        match self {
            Self::Attributes => {
                source.attributes(&handle(b"file")).await?;
            }
            Self::Lookup => {
                let found = source.lookup(&handle(b"root"), b"file").await?;
                assert!(found.is_none_or(|node| !node.handle.0.is_empty()));
            }
            Self::ReadDir => {
                assert_sound(&source.read_dir(&handle(b"root"), None).await?);
            }
            Self::Read => {
                let reply = source.read(&handle(b"file"), 0, 64).await?;
                assert!(reply.data.len() <= 64);
            }
            Self::ReadLink => {
                let target = source.read_link(&handle(b"link")).await?;
                assert!(target.len() <= 4096 && !target.contains(&0));
            }
            Self::Extended => {
                source.extended(&file()).await?;
            }
            Self::ReadMost => {
                let asked = source.read_max();
                let reply = source.read(&handle(b"file"), 0, asked).await?;
                assert!(reply.data.len() <= asked as usize);
            }
        }
        Ok(())
    }
}

/// The file, as if it had been listed.
pub(super) fn file() -> Node {
    let time = Timestamp {
        seconds: 1,
        nanoseconds: 0,
    };
    Node {
        handle: Handle(bytes::Bytes::from_static(b"file")),
        attributes: Attributes {
            kind: EntryKind::File,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: CONTENT.len() as u64,
            nlink: 1,
            file_id: 3,
            fsid: 1,
            mtime: time,
            ctime: time,
            atime: time,
            device: None,
        },
    }
}

fn assert_sound(page: &DirPage) {
    for entry in &page.entries {
        let name = &entry.name;
        assert!((1..=255).contains(&name.len()) && **name != *b"." && **name != *b"..");
        assert!(!name.contains(&b'/') && !name.contains(&0));
    }
}

/// Everything is as it was once the server is honest again.
pub(crate) async fn assert_recovered(source: &NfsSource) {
    let root = source.root().await.unwrap();
    assert_eq!(root.attributes.kind, EntryKind::Directory);
    let page = source.read_dir(&root.handle, None).await.unwrap();
    let names: Vec<_> = page.entries.iter().map(|entry| &entry.name[..]).collect();
    assert_eq!(names, NAMES.map(str::as_bytes));
    let file = page.entries[0].node.as_ref().unwrap();
    let reply = source.read(&file.handle, 0, 64).await.unwrap();
    assert_eq!((&reply.data[..], reply.eof), (CONTENT, true));
    let link = page.entries[1].node.as_ref().unwrap();
    assert_eq!(source.read_link(&link.handle).await.unwrap(), TARGET);
}

/// What a server that does not keep to the protocol may be called.
pub(crate) fn is_blamed(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(
        kind,
        K::Protocol | K::ServerFault | K::Unreachable | K::Timeout | K::NotSupported
    )
}
