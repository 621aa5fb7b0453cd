//! What is read is what the file system holds.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use datasync_endpoint::{Crc64, EntryKind, ErrorKind, Source};
use datasync_model::NfsVersion;

use crate::export::{
    Export, assert_same_as_local, checksum, find, is_version_3, list, read_all, variable, version,
};

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
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
    if is_version_3() {
        assert_eq!(calls.readdirplus, 1, "{calls:?}");
        assert_eq!(calls.fsinfo, 1);
        assert!(calls.mnt >= 1);
    } else {
        assert_eq!((calls.readdir, calls.mnt), (1, 0), "{calls:?}");
    }
}

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
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
#[ignore = "needs an NFS server: run by tests/run"]
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
    let calls = source.calls();
    assert!(calls.readdirplus + calls.readdir > 5, "{calls:?}");
}

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn files_that_end_anywhere_in_a_page_are_read() {
    let export = Export::tree();
    let source = export.mount().await;
    let sizes = [4 << 10, 8 << 10, 64 << 10].map(|pages: usize| pages - 12..=pages + 4);
    for size in sizes.into_iter().flatten() {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let local = export.local("scratch/in-a-page");
        fs::write(&local, &content).unwrap();
        let file = find(&source, "scratch/in-a-page").await;
        let reply = source.read(&file.handle, 0, 1 << 20).await.unwrap();
        assert!(reply.eof && reply.data == content, "{size} bytes");
        // Which a server may leave out.
        if let Some(attributes) = reply.attributes {
            assert_same_as_local(&attributes, &local);
        }
    }
}

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an NFS server: run by tests/run"]
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

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn holes_are_read_without_being_transferred_where_the_server_tells_of_them() {
    const MIB: u64 = 1 << 20;
    let export = Export::tree();
    let local = export.local("scratch/sparse");
    let file = fs::File::create(&local).unwrap();
    // Data, a hole, data across READs, a hole up to the end.
    for (offset, text) in [
        (0, "first"),
        (200 * MIB - 3, "second"),
        (300 * MIB, "third"),
    ] {
        file.write_all_at(text.as_bytes(), offset).unwrap();
    }
    file.set_len(400 * MIB).unwrap();
    file.sync_all().unwrap();
    let source = export.mount().await;
    let found = find(&source, "scratch/sparse").await;
    assert_eq!(found.attributes.size, 400 * MIB);
    let local_file = fs::File::open(&local).unwrap();
    let before = source.calls().read;
    let (mut at, mut expected) = (0, vec![0; 1 << 20]);
    while at < 400 * MIB {
        let read = source.read(&found.handle, at, 1 << 20).await.unwrap().data;
        assert!(!read.is_empty(), "{at}");
        let expected = &mut expected[..read.len()];
        local_file.read_exact_at(expected, at).unwrap();
        assert!(*read == *expected, "{at}");
        at += read.len() as u64;
    }
    let reads = source.calls().read - before;
    fs::remove_file(&local).unwrap();
    // nfs-ganesha does not know SEEK on this file system.
    if version() == NfsVersion::Nfs4_2 && variable("DATASYNC_TEST_NFS_SERVER") == "kernel" {
        assert!(reads < 20, "{reads} READs");
    } else {
        assert!(reads >= 400, "{reads} READs");
    }
}
