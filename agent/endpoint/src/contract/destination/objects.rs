//! Objects of odd names, and their order.

use std::collections::BTreeSet;

use super::super::{odd_names, pattern};
use super::{key, list, metadata_of, put, stat, whole};
use crate::{Crc64, Destination, EntryPath, Key};

/// Keys of odd names; where names are of one kind, those of files and directories lie apart.
fn odd_keys(is_tree: bool, has_root: bool) -> BTreeSet<Key> {
    let files = EntryPath::ROOT.child(b"odd");
    let directories = if is_tree {
        EntryPath::ROOT.child(b"odd directories")
    } else {
        files.clone()
    };
    let mut keys = BTreeSet::from([files.key(true)]);
    if is_tree {
        keys.insert(directories.key(true));
    }
    for name in odd_names() {
        keys.insert(files.child(&name).key(false));
        let directory = directories.child(&name);
        keys.insert(directory.child(b"below").key(true));
        if is_tree {
            keys.insert(directory.key(true));
        }
    }
    if has_root {
        keys.insert(Key::default());
    }
    keys
}

pub(super) async fn objects_are_kept_and_listed_in_order(destination: &impl Destination) {
    let is_tree = destination.tree().is_some();
    let keys: Vec<Key> = odd_keys(is_tree, destination.abilities().has_root)
        .into_iter()
        .collect();
    for (number, key) in keys.iter().enumerate() {
        let content = if key.is_directory() {
            Vec::new()
        } else {
            pattern(9, number)
        };
        let found = put(destination, key, &content).await;
        assert_eq!(found.size, content.len() as u64, "{key:?}");
        let mut wanted = metadata_of(key, 7);
        if is_tree && key.is_directory() {
            wanted.mtime = None;
        }
        assert!(
            wanted.agrees_with(&found.metadata),
            "{key:?} {:?}",
            found.metadata
        );
        if let Some(crc64) = found.crc64 {
            assert_eq!(crc64, Crc64::of(&content), "{key:?}");
        }
        let read = destination.read_back(key).await.expect("read_back");
        assert_eq!(read, whole(&content), "{key:?}");
    }
    let listed = list(destination, None).await;
    let found: Vec<_> = listed.iter().map(|object| object.key.clone()).collect();
    assert_eq!(found, keys);
    for object in &listed {
        let found = stat(destination, &object.key).await.expect("it is listed");
        assert_eq!(
            (found.size, &found.etag),
            (object.size, &object.etag),
            "{:?}",
            object.key
        );
    }
    for at in [0, keys.len() / 2, keys.len() - 1] {
        let rest = list(destination, Some(keys[at].clone())).await;
        let rest: Vec<_> = rest.into_iter().map(|object| object.key).collect();
        assert_eq!(rest, keys[at + 1..], "after {:?}", keys[at]);
    }
    // Not the key of anything here, whatever stands beside it.
    assert_eq!(stat(destination, &key("odd/a/nothing")).await, None);
}
