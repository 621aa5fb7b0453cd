//! Entries of a tree by the keys of their objects.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::script::error;
use super::{Inode, Operation, Tree};
use crate::{
    Attributes, EndpointError, EntryKind, ErrorKind, Key, ObjectHeader, ObjectIdentifier,
    ObjectState, PosixMetadata, Timestamp, decode_name, is_same_entry,
};

const NAME_MAX: usize = 255;

/// What a directory is to have at the end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    mtime: Option<Timestamp>,
    atime: Option<Timestamp>,
}

/// A tree that is written to.
pub(super) struct Entries<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) times: &'a mut BTreeMap<Key, Times>,
}

fn refused(operation: Operation, key: &Key, kind: ErrorKind) -> EndpointError {
    error(operation, key.as_str(), kind)
}

/// The path of a key, without slashes around it.
fn path_of(operation: Operation, key: &Key) -> Result<Vec<u8>, EndpointError> {
    let text = key.as_str();
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() && key.as_str().is_empty() {
        return Ok(Vec::new());
    }
    let names: Option<Vec<Vec<u8>>> = text.split('/').map(decode_name).collect();
    names
        .filter(|names| names.iter().all(|name| name.len() <= NAME_MAX))
        .map(|names| names.join(&b'/'))
        .ok_or_else(|| refused(operation, key, ErrorKind::InvalidName))
}

/// The keys of the directories above a key, the root first.
fn above(key: &Key) -> Vec<Key> {
    let text = key.as_str();
    let inner = text.strip_suffix('/').unwrap_or(text);
    let ends = inner.match_indices('/').map(|(at, _)| at + 1);
    let inner = ends.map(|end| Key::from_listing(text[..end].to_owned()));
    std::iter::once(Key::default()).chain(inner).collect()
}

fn kind_of(key: &Key, metadata: &PosixMetadata) -> EntryKind {
    if key.is_directory() || key.as_str().is_empty() {
        return EntryKind::Directory;
    }
    let kind = metadata.permissions.and_then(EntryKind::from_mode);
    kind.unwrap_or(EntryKind::File)
}

fn is_device(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::BlockDevice | EntryKind::CharDevice)
}

impl Entries<'_> {
    /// The entry that is the object of this key. Links are not followed.
    pub(super) fn find(&self, key: &Key) -> Option<&Inode> {
        let path = path_of(Operation::Stat, key).ok()?;
        let inode = self.tree.get(path)?;
        let is_directory = inode.attributes.kind == EntryKind::Directory;
        (is_directory == (kind_of(key, &PosixMetadata::default()) == EntryKind::Directory))
            .then_some(inode)
    }

    /// The directory that is about to be changed has its times back at the end.
    fn note(&mut self, directory: &Key) {
        let Some(attributes) = self.find(directory).map(|inode| inode.attributes) else {
            return;
        };
        self.times.entry(directory.clone()).or_insert(Times {
            mtime: Some(attributes.mtime),
            atime: Some(attributes.atime),
        });
    }

    /// Makes the directories above that are missing.
    fn make_way(&mut self, key: &Key) -> Result<(), EndpointError> {
        let operation = Operation::Put;
        let mut last = Key::default();
        for directory in above(key) {
            let path = path_of(operation, &directory)?;
            match self.tree.get(&path).map(|inode| inode.attributes.kind) {
                Some(EntryKind::Directory) => {}
                Some(_) => return Err(refused(operation, key, ErrorKind::InvalidName)),
                None => {
                    self.note(&last);
                    self.tree.add_dir(&path);
                }
            }
            last = directory;
        }
        Ok(())
    }

    /// Writes an object whole, in place of one of the same kind.
    pub(super) fn publish(
        &mut self,
        key: &Key,
        header: &ObjectHeader,
        content: Bytes,
    ) -> Result<Attributes, EndpointError> {
        let operation = Operation::Put;
        let (path, kind) = (path_of(operation, key)?, kind_of(key, &header.metadata));
        if is_device(kind) && header.metadata.device.is_none() {
            return Err(refused(operation, key, ErrorKind::NotSupported));
        }
        self.make_way(key)?;
        let found = self.tree.get(&path).map(|inode| inode.attributes.kind);
        let is_directory = |kind| kind == EntryKind::Directory;
        match found {
            Some(found) if is_directory(found) != is_directory(kind) => {
                return Err(refused(operation, key, ErrorKind::InvalidName));
            }
            Some(_) if header.only_if_absent && !is_directory(kind) => {
                return Err(refused(operation, key, ErrorKind::Precondition));
            }
            _ => {}
        }
        if !is_directory(kind) {
            self.note_parent(key);
            self.tree.add(&path, kind, content);
        } else if found.is_none() {
            self.note_parent(key);
            self.tree.add_dir(&path);
        }
        Ok(self.dress(key, &path, &header.metadata))
    }

    fn note_parent(&mut self, key: &Key) {
        if let Some(parent) = above(key).pop() {
            self.note(&parent);
        }
    }

    /// Gives an entry what it is to have; what a directory will have is told.
    fn dress(&mut self, key: &Key, path: &[u8], metadata: &PosixMetadata) -> Attributes {
        let mut dressed = None;
        self.tree.set(path, |attributes| {
            if let Some(permissions) = metadata.permissions {
                attributes.mode = permissions & 0o7777;
            }
            attributes.uid = metadata.owner.unwrap_or(attributes.uid);
            attributes.gid = metadata.group.unwrap_or(attributes.gid);
            attributes.device = metadata.device.or(attributes.device);
            let mut told = *attributes;
            told.mtime = metadata.mtime.unwrap_or(attributes.mtime);
            told.atime = metadata.atime.unwrap_or(attributes.atime);
            if attributes.kind != EntryKind::Directory {
                *attributes = told;
            }
            dressed = Some(told);
        });
        let told = dressed.unwrap();
        if told.kind == EntryKind::Directory {
            let times = self.times.entry(key.clone()).or_default();
            times.mtime = metadata.mtime.or(times.mtime);
            times.atime = metadata.atime.or(times.atime);
        }
        told
    }

    /// Gives an entry other metadata, unless it is another one by now.
    pub(super) fn redress(
        &mut self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
    ) -> Result<Attributes, EndpointError> {
        let operation = Operation::SetMetadata;
        let path = path_of(operation, key)?;
        let found = self.find(key).map(|inode| inode.attributes);
        let found = found.ok_or_else(|| refused(operation, key, ErrorKind::NotFound))?;
        if ObjectState::of_entry(&found).etag != current.etag {
            return Err(refused(operation, key, ErrorKind::Precondition));
        }
        Ok(self.dress(key, &path, metadata))
    }

    /// The file of an object that is to have one more name.
    pub(super) fn file(&self, object: &ObjectIdentifier) -> Option<Attributes> {
        let found = self.find(&object.key)?.attributes;
        let etag = ObjectState::of_entry(&found).etag;
        (found.kind == EntryKind::File && is_same_entry(&etag, &object.etag)).then_some(found)
    }

    /// Gives a file one more name, in place of what has it.
    pub(super) fn link(
        &mut self,
        key: &Key,
        (to, file): (&Key, &Attributes),
        only_if_absent: bool,
    ) -> Result<Attributes, EndpointError> {
        let operation = Operation::Link;
        let (path, existing) = (path_of(operation, key)?, path_of(operation, to)?);
        self.make_way(key)?;
        let found = self.tree.get(&path).map(|inode| inode.attributes);
        match found {
            Some(found) if found.file_id == file.file_id => return Ok(found),
            Some(found) if found.kind == EntryKind::Directory => {
                return Err(refused(operation, key, ErrorKind::InvalidName));
            }
            Some(_) if only_if_absent => {
                return Err(refused(operation, key, ErrorKind::Precondition));
            }
            _ => {}
        }
        self.note_parent(key);
        self.tree.remove(&path);
        self.tree.hard_link(&existing, &path);
        // The inode was changed.
        self.tree.set(&path, |_| {});
        let found = self.find(key).map(|inode| inode.attributes);
        found.ok_or_else(|| refused(operation, key, ErrorKind::NotFound))
    }

    /// Removes an entry, a directory only if it is empty.
    pub(super) fn delete(&mut self, object: &ObjectIdentifier) -> Result<(), EndpointError> {
        let (operation, key) = (Operation::Delete, &object.key);
        let path = path_of(operation, key)?;
        let Some(inode) = self.find(key) else {
            return Ok(());
        };
        let is_directory = inode.attributes.kind == EntryKind::Directory;
        if path.is_empty() || (is_directory && inode.has_children()) {
            return Err(refused(operation, key, ErrorKind::Invalid));
        }
        let etag = ObjectState::of_entry(&inode.attributes).etag;
        if !is_directory && !is_same_entry(&etag, &object.etag) {
            return Err(refused(operation, key, ErrorKind::Precondition));
        }
        self.note_parent(key);
        self.times.remove(key);
        self.tree.remove(path);
        Ok(())
    }

    /// Gives directories the times that they are to have.
    pub(super) fn settle(&mut self) {
        for (key, times) in std::mem::take(self.times) {
            if self.find(&key).is_none() {
                continue;
            }
            if let Ok(path) = path_of(Operation::SetMetadata, &key) {
                self.tree.set(path, |attributes| {
                    attributes.mtime = times.mtime.unwrap_or(attributes.mtime);
                    attributes.atime = times.atime.unwrap_or(attributes.atime);
                });
            }
        }
    }
}
