//! What a destination that is a tree promises besides.

use super::{header, key, metadata_of, payload, put, stat};
use crate::{
    Destination, DeviceNumbers, EntryKind, ErrorKind, Handle, Key, ListedObject, Node,
    ObjectHeader, PosixMetadata, Source,
};

/// Temporary files lie there; every transfer leaves it out.
const STAGING: &[u8] = b".aws-datasync";

/// The entries of a tree after a key, in the order of keys.
pub(super) async fn entries_after<T: Source>(tree: &T, after: Option<Key>) -> Vec<ListedObject> {
    let root = tree.root().await.expect("root");
    let mut found = vec![ListedObject::of_entry(Key::default(), &root.attributes)];
    let mut left = vec![(Key::default(), root.handle)];
    while let Some((directory, handle)) = left.pop() {
        for (name, node) in entries_of(tree, &handle).await {
            if directory == Key::default() && name == STAGING {
                continue;
            }
            let is_directory = node.attributes.kind == EntryKind::Directory;
            let key = directory.join(&Key::sort_segment(&name, is_directory));
            found.push(ListedObject::of_entry(key.clone(), &node.attributes));
            if is_directory {
                left.push((key, node.handle));
            }
        }
    }
    found.sort_by(|one, other| one.key.cmp(&other.key));
    found.retain(|object| after.as_ref().is_none_or(|after| object.key > *after));
    found
}

async fn entries_of<T: Source>(tree: &T, directory: &Handle) -> Vec<(Vec<u8>, Node)> {
    let mut entries = Vec::new();
    let mut cursor = None;
    loop {
        let page = tree.read_dir(directory, cursor).await.expect("read_dir");
        for entry in page.entries {
            entries.push((entry.name.to_vec(), entry.node.expect("an entry's node")));
        }
        cursor = page.next;
        if cursor.is_none() {
            return entries;
        }
    }
}

fn permissions(permissions: u32) -> ObjectHeader {
    let metadata = PosixMetadata {
        permissions: Some(permissions),
        ..header(1).metadata
    };
    ObjectHeader {
        metadata,
        ..header(1)
    }
}

/// What is in the way stays, links are not followed, and keys that lead elsewhere are refused.
pub(super) async fn names_are_of_one_kind(destination: &impl Destination) {
    put(destination, &key("kinds/file"), b"1").await;
    put(destination, &key("kinds/directory/"), b"").await;
    let link = permissions(0o120_777);
    let target = payload(b"directory");
    let linked = destination.put(&key("kinds/link"), &link, target).await;
    linked.expect("a link");
    let long = format!("kinds/{}", "n".repeat(256));
    for text in [
        "kinds/file/",
        "kinds/file/below",
        "kinds/directory",
        "kinds/link/below",
        "kinds/link/",
        "kinds/../outside",
        "kinds//double",
        "/kinds/slash",
        "..",
        &long,
    ] {
        let key = key(text);
        let directory = permissions(if key.is_directory() {
            0o040_755
        } else {
            0o100_644
        });
        let refused = destination.put(&key, &directory, payload(b"")).await;
        let error = refused
            .err()
            .unwrap_or_else(|| panic!("{text} was written"));
        assert_eq!(error.kind, ErrorKind::InvalidName, "{text}: {error}");
    }
    assert_eq!(stat(destination, &key("kinds/file/")).await, None);
    assert_eq!(stat(destination, &key("kinds/directory")).await, None);
    assert_eq!(stat(destination, &key("kinds/link/below")).await, None);
    let read = destination.read_back(&key("kinds/link")).await;
    assert_eq!(read.expect("the link's target"), super::whole(b"directory"));
    // A link is replaced, not what it leads to.
    put(destination, &key("kinds/link"), b"a file now").await;
    assert!(stat(destination, &key("kinds/directory/")).await.is_some());
    // Parents that nobody wrote are made.
    put(destination, &key("kinds/deep/below/it"), b"2").await;
    assert!(stat(destination, &key("kinds/deep/below/")).await.is_some());
}

/// Made only where their numbers are known.
pub(super) async fn devices_keep_their_numbers(destination: &impl Destination) {
    for (text, mode) in [("block", 0o060_640), ("char", 0o020_606)] {
        let key = key(&format!("devices/{text}"));
        let unknown = permissions(mode);
        let refused = destination.put(&key, &unknown, payload(b"")).await;
        let error = refused.expect_err("a device without numbers");
        assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
        for (major, minor) in [(8, 17), (4, 70_000)] {
            let device = Some(DeviceNumbers { major, minor });
            let metadata = PosixMetadata {
                device,
                ..unknown.metadata
            };
            let header = ObjectHeader {
                metadata,
                ..header(1)
            };
            let put = destination.put(&key, &header, payload(b"")).await;
            let receipt = put.unwrap_or_else(|error| panic!("{text} {major}:{minor}: {error}"));
            let found = stat(destination, &key).await.expect("it was just made");
            assert!(
                metadata.agrees_with(&found.metadata),
                "{:?}",
                found.metadata
            );
            assert_eq!((found.size, found.etag), (0, receipt.etag));
        }
    }
}

/// Whatever is written into a directory after it, and whatever is changed in one that is not written.
pub(super) async fn times_of_directories_are_set_at_the_end(destination: &impl Destination) {
    put(destination, &key("times/"), b"").await;
    put(destination, &key("times/before"), b"1").await;
    settle(destination).await;
    let wanted = metadata_of(&key("times/"), 7);
    let at_end = stat(destination, &key("times/"))
        .await
        .expect("it is there");
    assert!(
        wanted.agrees_with(&at_end.metadata),
        "{:?}",
        at_end.metadata
    );
    // Not written again, but into.
    put(destination, &key("times/after"), b"2").await;
    settle(destination).await;
    let again = stat(destination, &key("times/"))
        .await
        .expect("it is there");
    assert_eq!(again.etag, at_end.etag);
    settle(destination).await;
}

pub(super) async fn settle(destination: &impl Destination) {
    loop {
        let settled = destination.settle().await.expect("settle");
        assert!(settled.failed.is_empty(), "{:?}", settled.failed);
        if !settled.more {
            return;
        }
    }
}
