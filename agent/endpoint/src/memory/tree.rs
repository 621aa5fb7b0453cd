//! A file system in memory.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Attributes, EntryKind, EntryPath, ExtendedMetadata, Handle, Node, Timestamp};

/// Seconds since 1970 at which a tree's own clock starts.
const EPOCH: i64 = 1_700_000_000;
/// Odd, so that distinct numbers stay distinct: directories are listed in no particular order.
const SCRAMBLE: u64 = 0x9e37_79b9_7f4a_7c15;

/// An entry of the file system.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Attributes as the source tells them, lies about the size included.
    pub attributes: Attributes,
    /// The content of a file or the target of a link.
    pub content: Bytes,
    /// Access control list and extended attributes.
    pub extended: ExtendedMetadata,
    path: EntryPath,
    /// By cookie: name and inode.
    children: BTreeMap<u64, (Vec<u8>, u64)>,
    cookies: BTreeMap<Vec<u8>, u64>,
}

impl Inode {
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }
}

/// A tree that can be changed at any time. Paths are names joined by `/`, without a leading one.
///
/// Every change moves mtime and ctime of what changes forward, as a file system does.
#[derive(Debug, Clone)]
pub struct Tree {
    inodes: BTreeMap<u64, Inode>,
    root: u64,
    clock: i64,
    next: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self {
            inodes: BTreeMap::new(),
            root: 0,
            clock: 0,
            next: 0,
        };
        tree.root = tree.allocate(EntryKind::Directory, 0o755, Bytes::new(), EntryPath::ROOT);
        tree
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
}

impl Tree {
    /// A root directory with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        let nanoseconds = u32::try_from(self.clock % 1_000).unwrap_or(0) * 1_001;
        Timestamp {
            seconds: EPOCH + self.clock,
            nanoseconds,
        }
    }

    fn allocate(&mut self, kind: EntryKind, mode: u32, content: Bytes, path: EntryPath) -> u64 {
        let now = self.tick();
        self.next += 1;
        let file_id = self.next;
        let size = match kind {
            EntryKind::Directory => 4096,
            _ => content.len() as u64,
        };
        let attributes = Attributes {
            kind,
            mode,
            uid: 1000,
            gid: 1000,
            size,
            nlink: 1,
            file_id,
            fsid: 7,
            mtime: now,
            ctime: now,
            atime: now,
            device: None,
        };
        let inode = Inode {
            attributes,
            content,
            extended: ExtendedMetadata::default(),
            path,
            children: BTreeMap::new(),
            cookies: BTreeMap::new(),
        };
        self.inodes.insert(file_id, inode);
        file_id
    }

    fn id(&self, path: &[u8]) -> Option<u64> {
        names(path).try_fold(self.root, |id, name| self.child(id, name))
    }

    fn child(&self, directory: u64, name: &[u8]) -> Option<u64> {
        let inode = self.inodes.get(&directory)?;
        let cookie = inode.cookies.get(name)?;
        inode.children.get(cookie).map(|(_, id)| *id)
    }

    fn parent_and_name(&mut self, path: &[u8]) -> (u64, Vec<u8>) {
        let all: Vec<Vec<u8>> = names(path).map(<[u8]>::to_vec).collect();
        let (last, parents) = all.split_last().unwrap();
        let mut at = self.root;
        for name in parents {
            at = match self.child(at, name) {
                Some(id) if self.inodes[&id].attributes.kind == EntryKind::Directory => id,
                Some(_) => {
                    self.remove(self.inodes[&at].path.child(name).to_absolute());
                    self.link_new(at, name, EntryKind::Directory, 0o755, Bytes::new())
                }
                None => self.link_new(at, name, EntryKind::Directory, 0o755, Bytes::new()),
            };
        }
        (at, last.clone())
    }

    fn link(&mut self, directory: u64, name: &[u8], id: u64) {
        self.next += 1;
        let cookie = self.next.wrapping_mul(SCRAMBLE) >> 1;
        let now = self.tick();
        let inode = self.inodes.get_mut(&directory).unwrap();
        inode.children.insert(cookie, (name.to_vec(), id));
        inode.cookies.insert(name.to_vec(), cookie);
        inode.attributes.mtime = now;
        inode.attributes.ctime = now;
    }

    fn link_new(
        &mut self,
        directory: u64,
        name: &[u8],
        kind: EntryKind,
        mode: u32,
        content: Bytes,
    ) -> u64 {
        let path = self.inodes.get(&directory).unwrap().path.child(name);
        let id = self.allocate(kind, mode, content, path);
        self.link(directory, name, id);
        id
    }

    /// Adds an entry that is not a directory; whatever was at `path` is removed before.
    pub fn add(&mut self, path: impl AsRef<[u8]>, kind: EntryKind, content: impl Into<Bytes>) {
        self.remove(path.as_ref());
        let (directory, name) = self.parent_and_name(path.as_ref());
        self.link_new(directory, &name, kind, 0o644, content.into());
    }

    /// Adds a file, with the directories above it; whatever was at `path` is removed before.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<[u8]>, content: impl Into<Bytes>) -> Self {
        self.add(path, EntryKind::File, content);
        self
    }

    /// Adds an empty directory.
    #[must_use]
    pub fn dir(mut self, path: impl AsRef<[u8]>) -> Self {
        self.add_dir(path);
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(mut self, path: impl AsRef<[u8]>, target: impl Into<Bytes>) -> Self {
        self.add(path, EntryKind::Symlink, target);
        self
    }

    /// Adds a directory; does nothing if there is one.
    pub fn add_dir(&mut self, path: impl AsRef<[u8]>) {
        let path = path.as_ref();
        if self
            .get(path)
            .is_some_and(|found| found.attributes.kind == EntryKind::Directory)
        {
            return;
        }
        self.remove(path);
        let (directory, name) = self.parent_and_name(path);
        self.link_new(directory, &name, EntryKind::Directory, 0o755, Bytes::new());
    }

    /// Gives an entry one more name.
    pub fn hard_link(&mut self, existing: impl AsRef<[u8]>, new: impl AsRef<[u8]>) {
        let id = self.id(existing.as_ref()).unwrap();
        let (directory, name) = self.parent_and_name(new.as_ref());
        self.link(directory, &name, id);
        self.inodes.get_mut(&id).unwrap().attributes.nlink += 1;
    }

    /// Gives an entry, with all that is below it, another name in place of its present one; whatever
    /// was there is removed before. Nothing happens if the new name is below the entry itself.
    pub fn rename(&mut self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) {
        let (from, to) = (from.as_ref(), to.as_ref());
        let is_below = names(from).eq(names(to).take(names(from).count()));
        let Some(id) = self.id(from).filter(|_| !is_below) else {
            return;
        };
        self.remove(to);
        let (directory, name) = self.parent_and_name(to);
        // The way to the new name may have taken the place of what leads to the old one.
        if self.id(from) != Some(id) {
            return;
        }
        self.link(directory, &name, id);
        self.inodes.get_mut(&id).unwrap().attributes.nlink += 1;
        self.remove_name(from);
        let path = self.inodes[&directory].path.child(&name);
        self.set_path(id, path);
    }

    fn set_path(&mut self, id: u64, path: EntryPath) {
        let now = self.tick();
        let inode = self.inodes.get_mut(&id).unwrap();
        inode.attributes.ctime = now;
        inode.path = path.clone();
        for (name, child) in inode.children.values().cloned().collect::<Vec<_>>() {
            self.set_path(child, path.child(&name));
        }
    }

    /// Replaces the content of a file in place.
    pub fn write(&mut self, path: impl AsRef<[u8]>, content: impl Into<Bytes>) {
        let content = content.into();
        let now = self.tick();
        let inode = self.inode_mut(path.as_ref());
        inode.attributes.size = content.len() as u64;
        inode.content = content;
        inode.attributes.mtime = now;
        inode.attributes.ctime = now;
    }

    /// Replaces the content and puts mtime back; only ctime tells.
    pub fn write_and_put_mtime_back(&mut self, path: impl AsRef<[u8]>, content: impl Into<Bytes>) {
        let mtime = self.inode_mut(path.as_ref()).attributes.mtime;
        self.write(path.as_ref(), content);
        self.inode_mut(path.as_ref()).attributes.mtime = mtime;
    }

    /// Changes attributes; ctime moves forward. A size that does not fit the content is a lie.
    pub fn set(&mut self, path: impl AsRef<[u8]>, edit: impl FnOnce(&mut Attributes)) {
        let now = self.tick();
        let inode = self.inode_mut(path.as_ref());
        inode.attributes.ctime = now;
        edit(&mut inode.attributes);
    }

    /// Changes access control list and extended attributes; ctime moves forward.
    pub fn extend(&mut self, path: impl AsRef<[u8]>, edit: impl FnOnce(&mut ExtendedMetadata)) {
        let now = self.tick();
        let inode = self.inode_mut(path.as_ref());
        inode.attributes.ctime = now;
        edit(&mut inode.extended);
    }

    /// Removes an entry with everything below it; nothing there is fine too.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) {
        self.remove_name(path.as_ref());
    }

    fn remove_name(&mut self, path: &[u8]) {
        let Some(id) = self.id(path) else { return };
        let (directory, name) = self.parent_and_name(path);
        let now = self.tick();
        let inode = self.inodes.get_mut(&directory).unwrap();
        let cookie = inode.cookies.remove(&name).unwrap();
        inode.children.remove(&cookie);
        inode.attributes.mtime = now;
        inode.attributes.ctime = now;
        self.unlink(id);
    }

    fn unlink(&mut self, id: u64) {
        let inode = self.inodes.get_mut(&id).unwrap();
        if inode.attributes.nlink > 1 {
            inode.attributes.nlink -= 1;
            // It is called by a name that it has.
            let mut entries = self.entries().into_iter();
            let named = entries.find(|(_, inode)| inode.attributes.file_id == id);
            if let Some(path) = named.map(|(path, _)| path) {
                self.inodes.get_mut(&id).unwrap().path = path;
            }
            return;
        }
        let children: Vec<u64> = inode.children.values().map(|(_, id)| *id).collect();
        self.inodes.remove(&id);
        for child in children {
            self.unlink(child);
        }
    }

    /// Removes everything below the root.
    pub fn clear(&mut self) {
        let names: Vec<Vec<u8>> = self.inodes[&self.root]
            .children
            .values()
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.remove(name);
        }
    }

    /// Makes the root another directory with the same entries, as a remounted export would be.
    pub fn replace_root(&mut self) {
        let mut root = self.inodes.remove(&self.root).unwrap();
        self.next += 1;
        root.attributes.file_id = self.next;
        self.root = self.next;
        self.inodes.insert(self.root, root);
    }

    /// The entry at `path`.
    #[must_use]
    pub fn get(&self, path: impl AsRef<[u8]>) -> Option<&Inode> {
        self.inodes.get(&self.id(path.as_ref())?)
    }

    fn inode_mut(&mut self, path: &[u8]) -> &mut Inode {
        let id = self.id(path).unwrap();
        self.inodes.get_mut(&id).unwrap()
    }

    /// Every entry with its path, the root first, each directory before what is in it.
    #[must_use]
    pub fn entries(&self) -> Vec<(EntryPath, &Inode)> {
        let mut found = Vec::new();
        let mut open = vec![(EntryPath::ROOT, self.root)];
        while let Some((path, id)) = open.pop() {
            let inode = &self.inodes[&id];
            open.extend(
                inode
                    .children
                    .values()
                    .map(|(name, id)| (path.child(name), *id)),
            );
            found.push((path, inode));
        }
        found
    }

    pub(super) fn root_node(&self) -> Node {
        self.node(self.root).unwrap()
    }

    pub(super) fn node(&self, id: u64) -> Option<Node> {
        let attributes = self.inodes.get(&id)?.attributes;
        Some(Node {
            handle: Handle(Bytes::from(id.to_be_bytes().to_vec())),
            attributes,
        })
    }

    pub(super) fn by_handle(&self, handle: &Handle) -> Option<&Inode> {
        self.inodes
            .get(&u64::from_be_bytes(handle.0.as_ref().try_into().ok()?))
    }

    pub(super) fn path_of(&self, handle: &Handle) -> Option<EntryPath> {
        self.by_handle(handle).map(|inode| inode.path.clone())
    }

    pub(super) fn lookup(&self, directory: &Handle, name: &[u8]) -> Option<Node> {
        let directory = u64::from_be_bytes(directory.0.as_ref().try_into().ok()?);
        self.node(self.child(directory, name)?)
    }

    /// Cookies, names and nodes of at most `limit` entries after a cookie.
    pub(super) fn page(
        &self,
        directory: &Handle,
        after: Option<u64>,
        limit: usize,
    ) -> Vec<(u64, Vec<u8>, Node)> {
        let Some(inode) = self.by_handle(directory) else {
            return Vec::new();
        };
        let first = after.map_or(0, |cookie| cookie + 1);
        let entries = inode.children.range(first..).take(limit);
        entries
            .filter_map(|(cookie, (name, id))| Some((*cookie, name.clone(), self.node(*id)?)))
            .collect()
    }
}
