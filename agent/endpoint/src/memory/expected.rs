//! What a destination should hold after a tree was copied: a reference model, as plain as can be.

use std::collections::BTreeMap;

use bytes::Bytes;
use datasync_model::{Atime, Gid, Mtime, Options, PosixPermissions, PreserveDevices, Scope, Uid};

use super::{Inode, Stored, Tree};
use crate::{EntryKind, EntryPath, Key, PosixMetadata, encode_name};

/// An object that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The bytes.
    pub content: Bytes,
    /// POSIX metadata.
    pub metadata: PosixMetadata,
}

/// The objects of a tree under these options, for a destination that has a root object or not.
#[must_use]
pub fn expected(
    tree: &Tree,
    options: &Options,
    scope: &Scope,
    has_root: bool,
) -> BTreeMap<Key, Expected> {
    let mut objects = BTreeMap::new();
    for (path, inode) in tree.entries() {
        let is_root = path == EntryPath::ROOT;
        if !scope.contains(&path.to_absolute()) || (is_root && !has_root) {
            continue;
        }
        let Some(content) = content(inode, options) else {
            continue;
        };
        let mut key: String = path
            .names()
            .map(encode_name)
            .collect::<Vec<String>>()
            .join("/");
        if inode.attributes.kind == EntryKind::Directory && !is_root {
            key.push('/');
        }
        let metadata = metadata(inode, options);
        objects.insert(Key::from_listing(key), Expected { content, metadata });
    }
    objects
}

fn content(inode: &Inode, options: &Options) -> Option<Bytes> {
    match inode.attributes.kind {
        EntryKind::File | EntryKind::Symlink => Some(inode.content.clone()),
        EntryKind::Directory => Some(Bytes::new()),
        EntryKind::Fifo | EntryKind::Socket => None,
        EntryKind::BlockDevice | EntryKind::CharDevice => {
            (options.preserve_devices == PreserveDevices::Preserve).then(Bytes::new)
        }
    }
}

fn metadata(inode: &Inode, options: &Options) -> PosixMetadata {
    let attributes = &inode.attributes;
    let mut metadata = PosixMetadata::default();
    if options.uid != Uid::None {
        metadata.owner = Some(attributes.uid);
    }
    if options.gid != Gid::None {
        metadata.group = Some(attributes.gid);
    }
    let kind = match attributes.kind {
        EntryKind::File => 0o100_000,
        EntryKind::Directory => 0o040_000,
        EntryKind::Symlink => 0o120_000,
        EntryKind::BlockDevice => 0o060_000,
        EntryKind::CharDevice => 0o020_000,
        EntryKind::Fifo | EntryKind::Socket => 0,
    };
    if options.posix_permissions == PosixPermissions::Preserve {
        metadata.permissions = Some(kind + attributes.mode);
    } else if attributes.kind == EntryKind::Symlink {
        metadata.permissions = Some(kind + 0o777);
    }
    if options.mtime == Mtime::Preserve {
        metadata.mtime = Some(attributes.mtime);
    }
    if options.atime == Atime::BestEffort {
        metadata.atime = Some(attributes.atime);
    }
    metadata
}

/// How a store's objects differ from what they should be, a line for each; access times aside.
#[must_use]
pub fn differences(
    expected: &BTreeMap<Key, Expected>,
    found: &BTreeMap<Key, Stored>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, wanted) in expected {
        let Some(stored) = found.get(key) else {
            lines.push(format!("{key:?} is missing"));
            continue;
        };
        if stored.content != wanted.content {
            lines.push(format!(
                "{key:?} has other content: {} bytes, expected {}",
                stored.content.len(),
                wanted.content.len()
            ));
        }
        let without_atime = |metadata: &PosixMetadata| PosixMetadata {
            atime: None,
            ..*metadata
        };
        let same_atime = stored.metadata.atime.is_some() == wanted.metadata.atime.is_some();
        if without_atime(&stored.metadata) != without_atime(&wanted.metadata) || !same_atime {
            lines.push(format!(
                "{key:?} has {:?}, expected {:?}",
                stored.metadata, wanted.metadata
            ));
        }
    }
    for key in found.keys().filter(|key| !expected.contains_key(key)) {
        lines.push(format!("{key:?} should not be there"));
    }
    lines
}
