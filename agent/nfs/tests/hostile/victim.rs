//! The source that is deceived, and what it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datasync_endpoint::{DirPage, EndpointError, EntryKind, ErrorKind, Handle, Source};
use datasync_model::NfsVersion;
use datasync_nfs::{NfsConfig, NfsSource, PrivilegedPorts};

use crate::honest::{CONTENT, NAMES, TARGET, version_3, version_4};
use crate::wire::Server;

pub(crate) const VERSIONS: [NfsVersion; 3] =
    [NfsVersion::Nfs3, NfsVersion::Nfs4_0, NfsVersion::Nfs4_1];
/// Of one call.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);
/// An operation is a few calls, and makes a session before them.
const OPERATION_MAX: Duration = Duration::from_secs(10);

pub(crate) async fn server(version: NfsVersion) -> Server {
    match version {
        NfsVersion::Nfs3 => Server::start(version_3).await,
        _ => Server::start(version_4).await,
    }
}

pub(crate) fn config(server: &Server, version: NfsVersion) -> NfsConfig {
    NfsConfig {
        version,
        owners: Arc::default(),
        tls: None,
        lacking: Arc::default(),
        extended: datasync_endpoint::ExtendedKinds::default(),
        server_hostname: server.address.to_string(),
        path: "/vol".to_owned(),
        mount_port: Some(server.address.port()),
        privileged_ports: PrivilegedPorts::Never,
        uid: 0,
        gid: 0,
        gids: Vec::new(),
        further_connections: Arc::new(tokio::sync::Semaphore::new(0)),
        connections: 1,
        in_flight_per_connection: 8,
        call_timeout: TIMEOUT,
        read_size_max: 64 << 10,
    }
}

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
}

impl Operation {
    pub(crate) const ALL: [Self; 5] = [
        Self::Attributes,
        Self::Lookup,
        Self::ReadDir,
        Self::Read,
        Self::ReadLink,
    ];

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
        }
        Ok(())
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

/// The most memory that this process ever had, in bytes, touched or not.
pub(crate) fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() << 10
}
