//! A source that serves a [`Tree`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use datasync_model::RequestCounts;

use super::script::{Aftermath, error};
use super::{Operation, Script, Tree};
use crate::{
    Attributes, DirCursor, DirEntry, DirPage, EndpointError, EntryKind, EntryPath, ErrorKind,
    ExtendedKinds, ExtendedMetadata, Handle, Node, ReadReply, Source, StoredObject,
};

const VERIFIER: &[u8; 8] = b"verifier";

fn cursor_at(cookie: u64) -> DirCursor {
    DirCursor([&cookie.to_be_bytes()[..], VERIFIER].concat().into())
}

/// Where a page begins; `None` for a cursor that is none of ours.
fn after(cursor: Option<&DirCursor>) -> Option<Option<u64>> {
    let Some(cursor) = cursor else {
        return Some(None);
    };
    let (cookie, verifier) = cursor.0.split_first_chunk()?;
    (verifier == VERIFIER).then(|| Some(u64::from_be_bytes(*cookie)))
}

/// A [`Tree`] as a source. The tree may change while it is read.
#[derive(Debug)]
pub struct MemorySource {
    tree: Mutex<Tree>,
    script: Script,
    page: usize,
    read_max: u32,
    reply_max: u32,
    attributes_after_read: bool,
    has_bare_directories: bool,
    is_in_store: bool,
    extended_kinds: ExtendedKinds,
}

impl MemorySource {
    /// Serves this tree: pages of 100 entries, READs of 64 KiB that tell the attributes.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        Self {
            tree: Mutex::new(tree),
            script: Script::default(),
            page: 100,
            read_max: 64 * 1024,
            reply_max: u32::MAX,
            attributes_after_read: true,
            has_bare_directories: false,
            is_in_store: false,
            extended_kinds: ExtendedKinds::default(),
        }
    }

    /// Directories come in pages of this many entries.
    #[must_use]
    pub fn with_page(self, entries: usize) -> Self {
        Self {
            page: entries.max(1),
            ..self
        }
    }

    /// Directories are no items, as where nothing but keys tells of them.
    #[must_use]
    pub fn with_bare_directories(self) -> Self {
        Self {
            has_bare_directories: true,
            ..self
        }
    }

    /// Files are objects of the store that the destination is in.
    #[must_use]
    pub fn in_the_store(self) -> Self {
        Self {
            is_in_store: true,
            ..self
        }
    }

    /// Access control lists and extended attributes are told.
    #[must_use]
    pub fn with_extended(self, extended_kinds: ExtendedKinds) -> Self {
        Self {
            extended_kinds,
            ..self
        }
    }

    /// READs may ask for this many bytes.
    #[must_use]
    pub fn with_read_max(self, bytes: u32) -> Self {
        Self {
            read_max: bytes,
            ..self
        }
    }

    /// READs give at most this many bytes, however many were asked for.
    #[must_use]
    pub fn with_short_reads(self, bytes: u32) -> Self {
        Self {
            reply_max: bytes.max(1),
            ..self
        }
    }

    /// READs do not tell the attributes.
    #[must_use]
    pub fn without_attributes_after_read(self) -> Self {
        Self {
            attributes_after_read: false,
            ..self
        }
    }

    /// Faults and calls.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Changes the tree.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Tree) -> T) -> T {
        edit(&mut self.tree())
    }

    /// The tree as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Tree {
        self.tree().clone()
    }

    pub(super) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a call about a handle and lets its faults happen.
    async fn enter(
        &self,
        operation: Operation,
        handle: &Handle,
    ) -> Result<(String, Aftermath), EndpointError> {
        let path = self.tree().path_of(handle);
        let target = path.map_or_else(|| "(stale)".to_owned(), |path| path.to_string());
        let aftermath = self.enter_target(operation, &target).await?;
        Ok((target, aftermath))
    }

    async fn enter_target(
        &self,
        operation: Operation,
        target: &str,
    ) -> Result<Aftermath, EndpointError> {
        let aftermath = self.script.enter(operation, target).await?;
        for change in &aftermath.changes {
            (change.0)(&mut self.tree());
        }
        Ok(aftermath)
    }
}

impl Source for MemorySource {
    fn read_max(&self) -> u32 {
        self.read_max
    }

    fn requests(&self) -> RequestCounts {
        self.script.requests()
    }

    fn is_item(&self, node: &Node) -> bool {
        !self.has_bare_directories || node.attributes.kind != EntryKind::Directory
    }

    fn stored(&self, file: &Handle) -> Option<StoredObject> {
        self.is_in_store.then(|| self.object(file))?
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        let aftermath = self.enter_target(Operation::Root, "/").await?;
        let root = self.tree().root_node();
        aftermath.reply(root)
    }

    async fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        let (target, aftermath) = self.enter(Operation::ReadDir, directory).await?;
        let fail = |kind| Err(error(Operation::ReadDir, &target, kind));
        let Some(after) = after(cursor.as_ref()) else {
            return fail(ErrorKind::BadCookie);
        };
        let (path, mut found) = {
            let tree = self.tree();
            let Some(path) = tree.path_of(directory) else {
                return fail(ErrorKind::Stale);
            };
            (path, tree.page(directory, after, self.page + 1))
        };
        let has_more = found.len() > self.page;
        found.truncate(self.page);
        let last = found.last().map(|(cookie, _, _)| *cookie);
        let next = last.filter(|_| has_more).map(cursor_at);
        let entries = found
            .into_iter()
            .map(|(_, name, node)| self.entry(&path, name, node));
        aftermath.reply(DirPage {
            entries: entries.collect(),
            next,
        })
    }

    async fn lookup(&self, directory: &Handle, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        let path = self.tree().path_of(directory);
        let target = path.map(|path| path.child(name).to_string());
        let target = target.unwrap_or_else(|| "(stale)".to_owned());
        let aftermath = self.enter_target(Operation::Lookup, &target).await?;
        let found = {
            let tree = self.tree();
            let fail = |kind| Err(error(Operation::Lookup, &target, kind));
            match tree.by_handle(directory) {
                None => return fail(ErrorKind::Stale),
                Some(inode) if inode.attributes.kind != EntryKind::Directory => {
                    return fail(ErrorKind::Invalid);
                }
                Some(_) => tree.lookup(directory, name),
            }
        };
        aftermath.reply(found)
    }

    async fn attributes(&self, handle: &Handle) -> Result<Attributes, EndpointError> {
        let (target, aftermath) = self.enter(Operation::Attributes, handle).await?;
        let found = self.tree().by_handle(handle).map(|inode| inode.attributes);
        match found {
            Some(attributes) => aftermath.reply(attributes),
            None => Err(error(Operation::Attributes, &target, ErrorKind::Stale)),
        }
    }

    fn extended_kinds(&self) -> ExtendedKinds {
        self.extended_kinds
    }

    async fn extended(&self, item: &Node) -> Result<ExtendedMetadata, EndpointError> {
        let (target, aftermath) = self.enter(Operation::Extended, &item.handle).await?;
        let found = self.tree().by_handle(&item.handle).cloned();
        match found {
            Some(inode) => aftermath.reply(inode.extended.only(self.extended_kinds)),
            None => Err(error(Operation::Extended, &target, ErrorKind::Stale)),
        }
    }

    async fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        let (target, aftermath) = self.enter(Operation::Read, file).await?;
        let fail = |kind| Err(error(Operation::Read, &target, kind));
        let Some(inode) = self.tree().by_handle(file).cloned() else {
            return fail(ErrorKind::Stale);
        };
        if inode.attributes.kind != crate::EntryKind::File || length > self.read_max {
            return fail(ErrorKind::Invalid);
        }
        let size = inode.content.len();
        let from = usize::try_from(offset).unwrap_or(size).min(size);
        let wanted = usize::try_from(length.min(self.reply_max)).unwrap_or(size);
        let to = from.saturating_add(wanted).min(size);
        let mut data = inode.content.slice(from..to);
        if aftermath.flip && !data.is_empty() {
            data = flipped(&data);
        }
        let attributes = self.attributes_after_read.then_some(inode.attributes);
        aftermath.reply(ReadReply {
            data,
            eof: to == size,
            attributes,
        })
    }

    async fn read_link(&self, link: &Handle) -> Result<Bytes, EndpointError> {
        let (target, aftermath) = self.enter(Operation::ReadLink, link).await?;
        let found = self.tree().by_handle(link).cloned();
        match found {
            None => Err(error(Operation::ReadLink, &target, ErrorKind::Stale)),
            Some(inode) if inode.attributes.kind == crate::EntryKind::Symlink => {
                aftermath.reply(inode.content)
            }
            Some(_) => Err(error(Operation::ReadLink, &target, ErrorKind::Invalid)),
        }
    }
}

impl MemorySource {
    fn entry(&self, directory: &EntryPath, name: Vec<u8>, node: Node) -> DirEntry {
        let node = match self.script.entry_error(&directory.child(&name).to_string()) {
            None => Ok(node),
            Some(error) => Err(Arc::new(error)),
        };
        DirEntry {
            name: name.into(),
            node,
        }
    }
}

/// The same bytes with one bit of the middle one flipped.
pub(super) fn flipped(data: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&data[..]);
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.freeze()
}
