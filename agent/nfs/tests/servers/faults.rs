//! Callers that go, files that go, a server that goes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{Crc64, EntryKind, ErrorKind, Source};

use crate::export::{Export, checksum, control, end_grace, find, list};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an NFS server: run by tests/run"]
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
#[ignore = "needs an NFS server: run by tests/run"]
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

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn a_replaced_directory_is_stale_and_found_anew_by_its_name() {
    let export = Export::tree();
    let source = export.mount().await;
    let local = export.local("scratch/replaced");
    fs::create_dir(&local).unwrap();
    let before = find(&source, "scratch/replaced").await;
    fs::remove_dir(&local).unwrap();
    fs::create_dir(&local).unwrap();
    fs::write(local.join("new"), "new").unwrap();
    let error = list(&source, &before.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stale, "{error}");
    let error = source.lookup(&before.handle, b"new").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stale, "{error}");
    let now = find(&source, "scratch/replaced").await;
    assert_eq!(list(&source, &now.handle).await.unwrap().len(), 1);
    fs::remove_dir_all(&local).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an NFS server: run by tests/run"]
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
    end_grace(&source, &large.handle).await;
    let expected = Crc64::of(&fs::read(export.local("large")).unwrap());
    let found = checksum(&source, &large.handle, large.attributes.size, 1 << 20).await;
    assert_eq!(found, expected);
    let after = list(&source, &find(&source, "odd").await.handle)
        .await
        .unwrap()
        .len();
    assert_eq!(after, before);
}
