//! The exports that the script prepared, and how they are read.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use datasync_endpoint::{
    Attributes, Crc64, DirEntry, EndpointError, EntryKind, ErrorKind, Handle, Node, Source,
};
use datasync_model::NfsVersion;
use datasync_nfs::{NfsConfig, NfsSource, PrivilegedPorts};
use futures::{StreamExt, stream};

/// An export, also seen as a local directory.
pub(crate) struct Export {
    pub(crate) server: String,
    pub(crate) path: String,
    /// Held while the server must not be stopped, or by the one who stops it.
    _lock: File,
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: use tests/world/ganesha.sh or kernel.sh"))
}

/// The version that the suite is run with; 3 if it is not said.
pub(crate) fn version() -> NfsVersion {
    let named = std::env::var("DATASYNC_TEST_NFS_VERSION");
    named.map_or(NfsVersion::Nfs3, |named| named.parse().unwrap())
}

pub(crate) fn is_version_3() -> bool {
    version() == NfsVersion::Nfs3
}

/// What the script that runs the server calls `verb`.
pub(crate) fn control(verb: &str) {
    let script = variable("DATASYNC_TEST_NFS_CONTROL");
    assert!(
        Command::new(script).arg(verb).status().unwrap().success(),
        "{verb}"
    );
}

/// After a restart the kernel's server answers READs of version 4 by NFS4ERR_GRACE until clients of
/// before could reclaim what they had; nfs-ganesha is configured to know no such period, and version
/// 3 has none.
pub(crate) async fn end_grace(source: &NfsSource, file: &Handle) {
    let early = source.read(file, 0, 1).await;
    if variable("DATASYNC_TEST_NFS_SERVER") == "kernel" && !is_version_3() {
        let error = early.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy, "{error}");
        assert!(error.detail.contains("GRACE"), "{error}");
    } else {
        early.unwrap();
    }
    control("end-grace");
}

impl Export {
    pub(crate) fn parse(name: &str, lock: File) -> Self {
        let value = variable(name);
        let mut parts = value.splitn(3, ':');
        let server = format!("{}:{}", parts.next().unwrap(), parts.next().unwrap());
        Self {
            server,
            path: parts.next().unwrap().to_owned(),
            _lock: lock,
        }
    }

    pub(crate) fn lock_file() -> File {
        File::create(Path::new(&variable("DATASYNC_TEST_NFS_DIR")).join("lock")).unwrap()
    }

    pub(crate) fn shared(name: &str) -> Self {
        let lock = Self::lock_file();
        lock.lock_shared().unwrap();
        Self::parse(name, lock)
    }

    pub(crate) fn tree() -> Self {
        Self::shared("DATASYNC_TEST_NFS")
    }

    /// For a test that stops the server.
    pub(crate) fn exclusive() -> Self {
        let lock = Self::lock_file();
        lock.lock().unwrap();
        Self::parse("DATASYNC_TEST_NFS", lock)
    }

    pub(crate) fn local(&self, below: impl AsRef<Path>) -> PathBuf {
        Path::new(&self.path).join(below)
    }

    pub(crate) fn config(&self) -> NfsConfig {
        self.config_below("")
    }

    pub(crate) fn config_below(&self, below: &str) -> NfsConfig {
        NfsConfig {
            version: version(),
            owners: std::sync::Arc::default(),
            tls: None,
            lacking: std::sync::Arc::default(),
            extended: datasync_endpoint::ExtendedKinds::default(),
            server_hostname: self.server.clone(),
            path: format!("{}{below}", self.path),
            mount_port: None,
            privileged_ports: PrivilegedPorts::Prefer,
            uid: 0,
            gid: 0,
            gids: Vec::new(),
            further_connections: std::sync::Arc::new(tokio::sync::Semaphore::new(3)),
            connections: 4,
            in_flight_per_connection: 16,
            call_timeout: Duration::from_secs(20),
            read_size_max: 1 << 20,
        }
    }

    pub(crate) async fn mount(&self) -> NfsSource {
        NfsSource::mount(self.config()).await.unwrap()
    }
}

pub(crate) async fn list(
    source: &NfsSource,
    directory: &Handle,
) -> Result<Vec<DirEntry>, EndpointError> {
    let mut entries = Vec::new();
    let mut cursor = None;
    loop {
        let page = source.read_dir(directory, cursor).await?;
        entries.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(entries);
        }
    }
}

pub(crate) async fn find(source: &NfsSource, path: &str) -> Node {
    let mut node = source.root().await.unwrap();
    for name in path.split('/') {
        node = source
            .lookup(&node.handle, name.as_bytes())
            .await
            .unwrap()
            .unwrap();
    }
    node
}

pub(crate) async fn read_all(source: &NfsSource, file: &Handle) -> Result<Vec<u8>, EndpointError> {
    let mut content = Vec::new();
    loop {
        let reply = source
            .read(file, content.len() as u64, source.read_max())
            .await?;
        content.extend_from_slice(&reply.data);
        if reply.eof {
            return Ok(content);
        }
    }
}

pub(crate) fn assert_same_as_local(found: &Attributes, local: &Path) {
    let expected = fs::symlink_metadata(local).unwrap();
    assert_eq!(
        Some(found.kind),
        EntryKind::from_mode(expected.mode()),
        "{local:?}"
    );
    assert_eq!(found.mode, expected.mode() & 0o7777, "{local:?}");
    assert_eq!(
        (found.uid, found.gid),
        (expected.uid(), expected.gid()),
        "{local:?}"
    );
    assert_eq!(found.size, expected.size(), "{local:?}");
    assert_eq!(u64::from(found.nlink), expected.nlink(), "{local:?}");
    assert_eq!(found.file_id, expected.ino(), "{local:?}");
    let mtime = (found.mtime.seconds, i64::from(found.mtime.nanoseconds));
    assert_eq!(
        mtime,
        (expected.mtime(), expected.mtime_nsec()),
        "{local:?}"
    );
    let ctime = (found.ctime.seconds, i64::from(found.ctime.nanoseconds));
    assert_eq!(
        ctime,
        (expected.ctime(), expected.ctime_nsec()),
        "{local:?}"
    );
}

pub(crate) async fn checksum(source: &NfsSource, file: &Handle, size: u64, length: u32) -> Crc64 {
    let offsets = (0..size).step_by(length as usize);
    stream::iter(offsets)
        .map(|offset| async move {
            let reply = source.read(file, offset, length).await.unwrap();
            let whole = size - offset;
            assert_eq!(reply.data.len() as u64, whole.min(u64::from(length)));
            (Crc64::of(&reply.data), reply.data.len() as u64)
        })
        .buffered(48)
        .fold(Crc64::EMPTY, |sum, (next, length)| async move {
            sum.followed_by(next, length)
        })
        .await
}
