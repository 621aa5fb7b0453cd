//! The export: what is seen of it, and what of it would be there after a restart of the server.

use std::collections::BTreeMap;

use super::attributes::Changed;
use super::verbs::{Status, Verb, status};
use super::wire::Xdr;

pub(crate) const NAMES: [&str; 3] = ["file", "link", "sub"];
pub(crate) const CONTENT: &[u8] = b"0123456789";
pub(crate) const TARGET: &[u8] = b"../target";
/// The root of the export, and that of the server's tree in version 4, where the export is `vol`.
pub(crate) const ROOT: &[u8] = b"root";
pub(crate) const TOP: &[u8] = b"top";

/// Types; both versions have the same numbers for these.
pub(crate) const FILE: u32 = 1;
pub(crate) const DIRECTORY: u32 = 2;
pub(crate) const LINK: u32 = 5;

/// Of `stable_how`.
const UNSTABLE: u32 = 0;

#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) kind: u32,
    pub(crate) number: u64,
    pub(crate) mode: u32,
    pub(crate) owners: [u32; 2],
    pub(crate) links: u32,
    pub(crate) device: [u32; 2],
    pub(crate) atime: (i64, u32),
    pub(crate) mtime: (i64, u32),
    pub(crate) ctime: i64,
    /// What READ gives; of a link its target.
    pub(crate) seen: Vec<u8>,
    /// What is on stable storage of it.
    pub(crate) kept: Vec<u8>,
    pub(crate) children: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `fattr4_acl`.
    pub(crate) acl: Vec<u8>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Called before everything that is done: it may damage the disk, and refuse with a status other than 0.
pub(crate) type Before = Box<dyn FnMut(&mut Disk, Verb) -> Status + Send>;

/// How a server behaves that does what it is asked to and says something else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// Bytes of a WRITE that are taken at most.
    pub(crate) takes: usize,
    /// What is said of the number of bytes that were taken.
    pub(crate) tells: fn(u32) -> u32,
    /// Whether it takes data that it was asked to keep as if it need not.
    pub(crate) is_lazy: bool,
    /// An operation of version 4 whose result bears another number.
    pub(crate) misnames: Option<u32>,
    /// Of one COMPOUND, as a session has it; more are refused.
    pub(crate) operations_max: u32,
}

pub(crate) struct Disk {
    nodes: BTreeMap<Vec<u8>, Node>,
    clock: i64,
    /// Of this life of the server.
    pub(crate) verifier: u64,
    pub(crate) before: Option<Before>,
    pub(crate) manners: Manners,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let mut disk = Self {
            nodes: BTreeMap::new(),
            clock: 1,
            verifier: 1,
            before: None,
            manners: Manners {
                takes: usize::MAX,
                tells: |count| count,
                is_lazy: false,
                misnames: None,
                operations_max: 16,
            },
        };
        for handle in [ROOT, TOP] {
            let directory = disk.blank(DIRECTORY, 0o755);
            disk.nodes.insert(handle.to_vec(), directory);
        }
        let top = disk.nodes.get_mut(TOP).unwrap();
        top.children.insert(b"vol".to_vec(), ROOT.to_vec());
        for (name, kind, content) in [
            ("file", FILE, CONTENT),
            ("link", LINK, TARGET),
            ("sub", DIRECTORY, b""),
        ] {
            let mut node = disk.blank(kind, 0o755);
            node.links = 1;
            node.seen = content.to_vec();
            node.kept = content.to_vec();
            if kind == FILE {
                node.xattrs = [(b"colour".to_vec(), b"blue".to_vec())].into();
                // One entry: the owner may read.
                let acl = Xdr::default().words(&[1, 0, 0, 1]).opaque(b"OWNER@");
                node.acl = acl.0;
            }
            disk.nodes.insert(name.into(), node);
            let root = disk.nodes.get_mut(ROOT).unwrap();
            root.children.insert(name.into(), name.into());
        }
        disk
    }

    fn blank(&mut self, kind: u32, mode: u32) -> Node {
        self.clock += 1;
        Node {
            kind,
            mode,
            number: self.clock.cast_unsigned(),
            mtime: (self.clock, 0),
            ctime: self.clock,
            acl: vec![0; 4],
            ..Node::default()
        }
    }

    /// Whether `verb` is carried out.
    pub(crate) fn may(&mut self, verb: Verb) -> Result<(), Status> {
        let Some(mut before) = self.before.take() else {
            return Ok(());
        };
        let refused = before(self, verb);
        self.before = Some(before);
        if refused == 0 { Ok(()) } else { Err(refused) }
    }

    /// What was not committed is gone, without a word.
    pub(crate) fn lose(&mut self) {
        for node in self.nodes.values_mut().filter(|node| node.kind == FILE) {
            node.seen.clone_from(&node.kept);
        }
    }

    /// The server is killed and started again.
    pub(crate) fn restart(&mut self) {
        self.lose();
        self.verifier += 1;
    }

    pub(crate) fn node(&self, handle: &[u8]) -> Result<&Node, Status> {
        self.nodes.get(handle).ok_or(status::STALE)
    }

    pub(crate) fn node_mut(&mut self, handle: &[u8]) -> Result<&mut Node, Status> {
        self.clock += 1;
        let clock = self.clock;
        let node = self.nodes.get_mut(handle).ok_or(status::STALE)?;
        node.ctime = clock;
        Ok(node)
    }

    fn directory(&mut self, handle: &[u8]) -> Result<&mut Node, Status> {
        let node = self.node_mut(handle)?;
        if node.kind != DIRECTORY {
            return Err(status::NOTDIR);
        }
        node.mtime = (node.ctime, 0);
        Ok(node)
    }

    pub(crate) fn look_up(&self, directory: &[u8], name: &[u8]) -> Result<Vec<u8>, Status> {
        let node = self.node(directory)?;
        if node.kind != DIRECTORY {
            return Err(status::NOTDIR);
        }
        node.children.get(name).cloned().ok_or(status::NOENT)
    }

    /// The entry at a path from the root.
    pub(crate) fn find(&self, path: &str) -> Option<&Node> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let found = names.try_fold(ROOT.to_vec(), |at, name| {
            self.look_up(&at, name.as_bytes()).ok()
        });
        self.node(&found?).ok()
    }

    pub(super) fn make(
        &mut self,
        directory: &[u8],
        name: &[u8],
        (kind, device): (u32, [u32; 2]),
        changed: &Changed,
    ) -> Result<Vec<u8>, Status> {
        if self.look_up(directory, name).is_ok() {
            return Err(status::EXIST);
        }
        let mut node = self.blank(kind, 0o644);
        let handle = format!("handle {}", node.number).into_bytes();
        node.links = 1;
        node.device = device;
        changed.apply(&mut node);
        let children = &mut self.directory(directory)?.children;
        children.insert(name.to_vec(), handle.clone());
        self.nodes.insert(handle.clone(), node);
        Ok(handle)
    }

    /// Damages a byte of a file, on disk too.
    pub(crate) fn damage(&mut self, path: &str) {
        let number = self.find(path).unwrap().number;
        let mut nodes = self.nodes.values_mut();
        let node = nodes.find(|node| node.number == number).unwrap();
        let middle = node.seen.len() / 2;
        node.seen[middle] ^= 1;
        node.kept.clone_from(&node.seen);
    }

    /// Takes what its manners let it take; gives the bytes that it tells of, and how they are kept
    /// (`stable_how`).
    pub(crate) fn write(
        &mut self,
        file: &[u8],
        (offset, data): (u64, &[u8]),
        asked: u32,
    ) -> Result<[u32; 2], Status> {
        let taken = &data[..data.len().min(self.manners.takes)];
        let stable = if self.manners.is_lazy {
            UNSTABLE
        } else {
            asked
        };
        let node = self.node_mut(file)?;
        let from = usize::try_from(offset).unwrap();
        let contents = [
            Some(&mut node.seen),
            (stable != UNSTABLE).then_some(&mut node.kept),
        ];
        for content in contents.into_iter().flatten() {
            content.resize(content.len().max(from + taken.len()), 0);
            content[from..from + taken.len()].copy_from_slice(taken);
        }
        let told = (self.manners.tells)(u32::try_from(taken.len()).unwrap());
        Ok([told, stable])
    }

    pub(crate) fn commit(&mut self, file: &[u8]) -> Result<(), Status> {
        let node = self.node_mut(file)?;
        node.kept.clone_from(&node.seen);
        Ok(())
    }

    pub(crate) fn remove(&mut self, directory: &[u8], name: &[u8]) -> Result<(), Status> {
        let handle = self.look_up(directory, name)?;
        if !self.node(&handle)?.children.is_empty() {
            return Err(status::NOTEMPTY);
        }
        self.directory(directory)?.children.remove(name);
        let node = self.node_mut(&handle)?;
        node.links -= 1;
        if node.links == 0 {
            self.nodes.remove(&handle);
        }
        Ok(())
    }

    pub(crate) fn link(
        &mut self,
        entry: &[u8],
        directory: &[u8],
        name: &[u8],
    ) -> Result<(), Status> {
        if self.look_up(directory, name).is_ok() {
            return Err(status::EXIST);
        }
        self.node_mut(entry)?.links += 1;
        let children = &mut self.directory(directory)?.children;
        children.insert(name.to_vec(), entry.to_vec());
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        (from_directory, from): (&[u8], &[u8]),
        (to_directory, to): (&[u8], &[u8]),
    ) -> Result<(), Status> {
        let moved = self.look_up(from_directory, from)?;
        if let Ok(there) = self.look_up(to_directory, to) {
            if self.node(&there)?.kind == DIRECTORY {
                return Err(status::ISDIR);
            }
            self.remove(to_directory, to)?;
        }
        self.link(&moved, to_directory, to)?;
        self.remove(from_directory, from)
    }
}
