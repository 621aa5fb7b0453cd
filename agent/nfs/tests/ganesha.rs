//! The source against nfs-ganesha, a server that we did not write. Run by
//! `tests/world/ganesha.sh run -- cargo test -p datasync-nfs --test ganesha -- --ignored`.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{
    Crc64, DirEntry, EndpointError, EntryKind, ErrorKind, Handle, Node, Source,
};
use datasync_nfs::{NfsConfig, NfsSource, PrivilegedPorts};
use futures::{StreamExt, stream};

/// An export, also seen as a local directory.
struct Export {
    server: String,
    path: String,
    /// Held while the server must not be stopped, or by the one who stops it.
    _lock: File,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: use tests/world/ganesha.sh"))
}

impl Export {
    fn parse(name: &str, lock: File) -> Self {
        let value = variable(name);
        let mut parts = value.splitn(3, ':');
        let server = format!("{}:{}", parts.next().unwrap(), parts.next().unwrap());
        Self {
            server,
            path: parts.next().unwrap().to_owned(),
            _lock: lock,
        }
    }

    fn lock_file() -> File {
        File::create(Path::new(&variable("DATASYNC_TEST_GANESHA_DIR")).join("lock")).unwrap()
    }

    fn shared(name: &str) -> Self {
        let lock = Self::lock_file();
        lock.lock_shared().unwrap();
        Self::parse(name, lock)
    }

    fn tree() -> Self {
        Self::shared("DATASYNC_TEST_GANESHA")
    }

    /// For a test that stops the server.
    fn exclusive() -> Self {
        let lock = Self::lock_file();
        lock.lock().unwrap();
        Self::parse("DATASYNC_TEST_GANESHA", lock)
    }

    fn local(&self, below: impl AsRef<Path>) -> PathBuf {
        Path::new(&self.path).join(below)
    }

    fn config(&self) -> NfsConfig {
        self.config_below("")
    }

    fn config_below(&self, below: &str) -> NfsConfig {
        NfsConfig {
            server_hostname: self.server.clone(),
            path: format!("{}{below}", self.path),
            mount_port: None,
            privileged_ports: PrivilegedPorts::Prefer,
            uid: 0,
            gid: 0,
            gids: Vec::new(),
            connections: 4,
            in_flight_per_connection: 16,
            call_timeout: Duration::from_secs(20),
            read_size_max: 1 << 20,
        }
    }

    async fn mount(&self) -> NfsSource {
        NfsSource::mount(self.config()).await.unwrap()
    }
}

async fn list(source: &NfsSource, directory: &Handle) -> Result<Vec<DirEntry>, EndpointError> {
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

async fn find(source: &NfsSource, path: &str) -> Node {
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

async fn read_all(source: &NfsSource, file: &Handle) -> Result<Vec<u8>, EndpointError> {
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

fn assert_same_as_local(found: &datasync_endpoint::Attributes, local: &Path) {
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

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn attributes_are_those_of_the_file_system() {
    let export = Export::tree();
    let source = export.mount().await;
    assert_eq!(source.read_max(), 1 << 20);
    let root = source.root().await.unwrap();
    assert_same_as_local(&root.attributes, &export.local(""));
    let entries = list(&source, &root.handle).await.unwrap();
    let expected = fs::read_dir(export.local("")).unwrap().count();
    assert_eq!(entries.len(), expected);
    for entry in &entries {
        if *entry.name == *b"scratch" {
            continue; // other tests write there
        }
        let node = entry.node.as_ref().unwrap();
        let local = export.local(std::ffi::OsStr::from_bytes(&entry.name));
        assert_same_as_local(&node.attributes, &local);
        assert_same_as_local(&source.attributes(&node.handle).await.unwrap(), &local);
    }
    let calls = source.calls();
    assert_eq!(calls.readdirplus, 1, "{calls:?}");
    assert_eq!(calls.fsinfo, 1);
    assert!(calls.mnt >= 1);
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn every_name_is_listed_looked_up_and_read_as_its_bytes() {
    let export = Export::tree();
    let source = export.mount().await;
    let odd = find(&source, "odd").await;
    let mut listed: Vec<Vec<u8>> = Vec::new();
    for entry in list(&source, &odd.handle).await.unwrap() {
        let found = source
            .lookup(&odd.handle, &entry.name)
            .await
            .unwrap()
            .unwrap();
        let listed_node = entry.node.unwrap();
        assert_eq!(found.attributes.file_id, listed_node.attributes.file_id);
        assert_eq!(read_all(&source, &found.handle).await.unwrap(), entry.name);
        listed.push(entry.name.to_vec());
    }
    let mut expected: Vec<Vec<u8>> = fs::read_dir(export.local("odd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().as_bytes().to_vec())
        .collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert!(expected.len() >= 20 && expected.iter().any(|name| name.len() == 255));
    let missing = source.lookup(&odd.handle, b"no such name").await.unwrap();
    assert!(missing.is_none());
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn a_directory_of_twenty_thousand_is_listed_once_each() {
    let export = Export::tree();
    let source = export.mount().await;
    let many = find(&source, "many").await;
    let mut names: Vec<_> = list(&source, &many.handle)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| {
            assert_eq!(entry.node.unwrap().attributes.kind, EntryKind::File);
            entry.name
        })
        .collect();
    names.sort();
    let expected: Vec<_> = (1..=20_000)
        .map(|n| bytes::Bytes::from(format!("file-{n:05}")))
        .collect();
    assert!(names == expected, "{} names", names.len());
    assert!(source.calls().readdirplus > 5);
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn links_pipes_empty_and_sparse_files() {
    let export = Export::tree();
    let source = export.mount().await;
    let link = find(&source, "link").await;
    assert_eq!(
        source.read_link(&link.handle).await.unwrap(),
        "../target of a link"
    );
    assert_eq!(find(&source, "fifo").await.attributes.kind, EntryKind::Fifo);
    let nothing = find(&source, "nothing").await;
    let reply = source.read(&nothing.handle, 0, 1 << 20).await.unwrap();
    assert!(reply.eof && reply.data.is_empty());
    let sparse = find(&source, "sparse").await;
    assert_eq!(sparse.attributes.size, 5 << 30);
    let hole = source.read(&sparse.handle, 3 << 30, 1 << 20).await.unwrap();
    assert!(!hole.eof && hole.data.len() == 1 << 20 && hole.data.iter().all(|byte| *byte == 0));
    let end = source
        .read(&sparse.handle, (5 << 30) - 10, 1 << 20)
        .await
        .unwrap();
    assert!(end.eof);
    assert_eq!(end.data, b"\0\0\0\0\0\0\0end".as_slice());
    let beyond = source.read(&sparse.handle, 6 << 30, 100).await.unwrap();
    assert!(beyond.eof && beyond.data.is_empty());
    assert_eq!(
        list(&source, &find(&source, "empty").await.handle)
            .await
            .unwrap()
            .len(),
        0
    );
    let not_a_link = source.read_link(&nothing.handle).await.unwrap_err();
    assert_eq!(not_a_link.kind, ErrorKind::Invalid);
}

async fn checksum(source: &NfsSource, file: &Handle, size: u64, length: u32) -> Crc64 {
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn a_large_file_is_read_right_with_many_calls_in_flight() {
    let export = Export::tree();
    let source = export.mount().await;
    let large = find(&source, "large").await;
    let expected = Crc64::of(&fs::read(export.local("large")).unwrap());
    for length in [1 << 20, 100_000, 32 << 10] {
        let found = checksum(&source, &large.handle, large.attributes.size, length).await;
        assert_eq!(found, expected, "READs of {length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn callers_that_are_dropped_leave_the_connections_usable() {
    let export = Export::tree();
    let source = Arc::new(export.mount().await);
    let large = find(&source, "large").await;
    let expected = Crc64::of(&fs::read(export.local("large")).unwrap());
    for round in 0..20u64 {
        let mut readers = tokio::task::JoinSet::new();
        for part in 0..64u64 {
            let (source, file) = (Arc::clone(&source), large.handle.clone());
            readers.spawn(async move { source.read(&file, part << 20, 1 << 20).await });
        }
        tokio::time::sleep(Duration::from_micros(200 * round)).await;
        readers.abort_all();
    }
    let found = checksum(&source, &large.handle, large.attributes.size, 1 << 20).await;
    assert_eq!(found, expected);
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn what_the_user_may_not_read_is_refused() {
    let export = Export::tree();
    let source = NfsSource::mount(NfsConfig {
        uid: 1000,
        gid: 1000,
        ..export.config()
    })
    .await
    .unwrap();
    let closed = find(&source, "closed").await;
    let error = list(&source, &closed.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(error.detail.contains("uid 1000"), "{error}");
    let error = source.lookup(&closed.handle, b"file").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);

    let squashed = Export::shared("DATASYNC_TEST_GANESHA_SQUASHED");
    let source = squashed.mount().await;
    let private = find(&source, "private").await;
    let error = read_all(&source, &private.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    let public = find(&source, "public").await;
    assert_eq!(read_all(&source, &public.handle).await.unwrap(), b"public");
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn groups_reach_the_server() {
    let export = Export::tree();
    let config = NfsConfig {
        uid: 1000,
        gid: 1000,
        gids: vec![4242],
        ..export.config()
    };
    let shared = export.local("scratch/for-a-group");
    fs::write(&shared, "group").unwrap();
    std::os::unix::fs::chown(&shared, Some(0), Some(4242)).unwrap();
    fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let with = NfsSource::mount(config.clone()).await.unwrap();
    let file = find(&with, "scratch/for-a-group").await;
    assert_eq!(read_all(&with, &file.handle).await.unwrap(), b"group");
    let config = NfsConfig {
        gids: vec![],
        ..config
    };
    let without = NfsSource::mount(config).await.unwrap();
    let error = read_all(&without, &file.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn directories_below_an_export_are_mounted() {
    let export = Export::tree();
    for below in ["/deep/below/it", "/deep//below/", "/"] {
        let source = NfsSource::mount(export.config_below(below)).await.unwrap();
        let root = source.root().await.unwrap();
        assert_same_as_local(
            &root.attributes,
            &export.local(below.trim_start_matches('/')),
        );
    }
    for below in ["/no/such/directory", "/hello", "/hello/below"] {
        let error = NfsSource::mount(export.config_below(below))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::ContainerNotFound, "{error}");
        assert!(
            error
                .to_string()
                .contains(&format!("{}{below}", export.path)),
            "{error}"
        );
    }
    let elsewhere = NfsConfig {
        path: "/not/exported".to_owned(),
        ..export.config()
    };
    let error = NfsSource::mount(elsewhere).await.unwrap_err();
    let kinds = [ErrorKind::ContainerNotFound, ErrorKind::PermissionDenied];
    assert!(kinds.contains(&error.kind), "{error}");
    assert!(error.to_string().contains("/not/exported"), "{error}");
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn the_server_is_found_under_every_form_of_its_name() {
    let export = Export::tree();
    for (name, mount_port) in [
        ("127.0.0.1", None),
        ("localhost", None),
        ("127.0.0.1:2049", None),
        ("localhost:2049", Some(20048)),
        ("::1", None),
        ("[::1]:2049", Some(20048)),
    ] {
        let config = NfsConfig {
            server_hostname: name.to_owned(),
            mount_port,
            ..export.config()
        };
        let source = NfsSource::mount(config)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let hello = find(&source, "hello").await;
        assert_eq!(read_all(&source, &hello.handle).await.unwrap(), b"hello\n");
        let portmapped = u64::from(mount_port.is_none());
        assert!(source.calls().getport >= portmapped, "{name}");
        if mount_port.is_some() {
            assert_eq!(source.calls().getport, 0, "{name}");
        }
    }
    for port in ["127.0.0.1:1", "[::1]:1"] {
        let config = NfsConfig {
            server_hostname: port.to_owned(),
            path: export.path.clone(),
            ..export.config()
        };
        // MOUNT is found by the portmapper; nothing listens on the NFS port.
        let error = NfsSource::mount(config).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    }
}

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn a_removed_file_is_stale() {
    let export = Export::tree();
    let source = export.mount().await;
    let local = export.local("scratch/for-now");
    fs::write(&local, "x").unwrap();
    let node = find(&source, "scratch/for-now").await;
    fs::remove_file(&local).unwrap();
    let error = source.attributes(&node.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stale, "{error}");
}

fn control(verb: &str) {
    let script = variable("DATASYNC_TEST_GANESHA_CONTROL");
    assert!(
        Command::new(script).arg(verb).status().unwrap().success(),
        "{verb}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn calls_work_again_after_the_server_was_killed_in_the_middle() {
    let export = Export::exclusive();
    let source = Arc::new(export.mount().await);
    let large = find(&source, "large").await;
    let before = list(&source, &find(&source, "odd").await.handle)
        .await
        .unwrap()
        .len();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (source, file) = (Arc::clone(&source), large.handle.clone());
        readers.spawn(async move {
            let mut part = 0u64;
            loop {
                let read = source.read(&file, (part % 64) << 20, 1 << 20).await;
                if let Err(error) = read {
                    return error;
                }
                part += 1;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    tokio::task::block_in_place(|| control("stop"));
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(error) = readers.join_next().await {
        *kinds
            .entry(format!("{:?}", error.unwrap().kind))
            .or_default() += 1;
    }
    assert_eq!(kinds, BTreeMap::from([("Unreachable".to_owned(), 16)]));
    let down = source.attributes(&large.handle).await.unwrap_err();
    assert_eq!(down.kind, ErrorKind::Unreachable, "{down}");
    tokio::task::block_in_place(|| control("start"));
    let root = source.root().await.unwrap();
    assert_eq!(root.attributes.kind, EntryKind::Directory);
    let large = find(&source, "large").await;
    let expected = Crc64::of(&fs::read(export.local("large")).unwrap());
    let found = checksum(&source, &large.handle, large.attributes.size, 1 << 20).await;
    assert_eq!(found, expected);
    let after = list(&source, &find(&source, "odd").await.handle)
        .await
        .unwrap()
        .len();
    assert_eq!(after, before);
}
