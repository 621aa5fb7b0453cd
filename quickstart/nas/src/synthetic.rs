//! A tree of any size that exists only as arithmetic.

use std::io;

use nfs3_server::vfs::{
    DirEntryPlus, FileHandleU64, NextResult, NfsReadFileSystem, ReadDirPlusIterator,
};
use nfs3_types::nfs3::nfsstat3::{
    NFS3ERR_INVAL, NFS3ERR_ISDIR, NFS3ERR_NOENT, NFS3ERR_NOTDIR, NFS3ERR_STALE,
};
use nfs3_types::nfs3::{fattr3, filename3, ftype3, nfspath3, nfsstat3, nfstime3};

/// Largest READ that is answered in full, in bytes.
const READ_MAX: u64 = 1024 * 1024;

/// A prime: entry n of a directory is file n × this, modulo their number, so that they come in no
/// order of names, as from a server that hashes them.
const STRIDE: u64 = 2_654_435_761;

const ROOT: u64 = 1;

/// Size and shape of a synthetic tree: `d-0000000` … in the root, `f-0000000` … in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntheticTree {
    /// Directories in the root.
    pub directories: u64,
    pub files_per_directory: u64,
    /// Bytes of each file.
    pub file_size: u64,
}

impl SyntheticTree {
    /// Bytes `offset..offset + length` of a file, cut off at its end.
    pub fn content(&self, directory: u64, file: u64, offset: u64, length: u64) -> Vec<u8> {
        let seed = mix(directory << 32 ^ file);
        let end = offset.saturating_add(length).min(self.file_size);
        let (first, last) = (offset / 8, end.div_ceil(8));
        let mut bytes: Vec<u8> = (first..last)
            .flat_map(|word| mix(seed ^ word).to_le_bytes())
            .collect();
        if offset >= end {
            return Vec::new();
        }
        bytes.truncate(usize::try_from(end - first * 8).unwrap_or(usize::MAX));
        bytes.drain(..usize::try_from(offset - first * 8).unwrap_or_default());
        bytes
    }

    /// The path of a file from the root.
    pub fn path(directory: u64, file: u64) -> String {
        format!("d-{directory:07}/f-{file:07}")
    }
}

/// <https://prng.di.unimi.it/splitmix64.c>: one step from a given state.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Root,
    Directory(u64),
    File(u64, u64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Synthetic {
    tree: SyntheticTree,
}

impl Synthetic {
    pub(crate) fn new(tree: SyntheticTree) -> io::Result<Self> {
        let files = tree.directories.checked_mul(tree.files_per_directory);
        let numbered = files.is_some_and(|files| files < u64::MAX / 2);
        if !numbered || tree.directories >= STRIDE || tree.files_per_directory >= STRIDE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{tree:?} has too many files; a directory holds fewer than {STRIDE}"),
            ));
        }
        Ok(Self { tree })
    }

    /// Root, then directories, then files: their handle and file id.
    fn id(&self, node: Node) -> u64 {
        match node {
            Node::Root => ROOT,
            Node::Directory(directory) => ROOT + 1 + directory,
            Node::File(directory, file) => {
                ROOT + 1 + self.tree.directories + directory * self.tree.files_per_directory + file
            }
        }
    }

    fn node(&self, id: u64) -> Result<Node, nfsstat3> {
        let Some(index) = id.checked_sub(ROOT + 1) else {
            return if id == ROOT {
                Ok(Node::Root)
            } else {
                Err(NFS3ERR_STALE)
            };
        };
        let Some(index) = index.checked_sub(self.tree.directories) else {
            return Ok(Node::Directory(index));
        };
        if index >= self.tree.directories * self.tree.files_per_directory {
            return Err(NFS3ERR_STALE);
        }
        let per_directory = self.tree.files_per_directory;
        Ok(Node::File(index / per_directory, index % per_directory))
    }

    fn attributes(&self, node: Node) -> fattr3 {
        let id = self.id(node);
        let (type_, mode, size) = match node {
            Node::File(..) => (ftype3::NF3REG, 0o644, self.tree.file_size),
            Node::Root | Node::Directory(_) => (ftype3::NF3DIR, 0o755, 4096),
        };
        let seconds = 1_700_000_000 + u32::try_from(id % 1_000_000).unwrap_or_default();
        let time = nfstime3 {
            seconds,
            nseconds: 123_456_789,
        };
        fattr3 {
            type_,
            mode,
            nlink: if type_ == ftype3::NF3DIR { 2 } else { 1 },
            uid: 1000,
            gid: 1000,
            size,
            used: size,
            rdev: Default::default(),
            fsid: 1,
            fileid: id,
            atime: time,
            mtime: time,
            ctime: time,
        }
    }

    /// Entry number `position` of a directory; `None` behind the last.
    fn entry(&self, directory: Node, position: u64) -> Option<(String, Node)> {
        let scattered = |count: u64| (position < count).then(|| position * STRIDE % count);
        match directory {
            Node::Root => {
                let index = scattered(self.tree.directories)?;
                Some((format!("d-{index:07}"), Node::Directory(index)))
            }
            Node::Directory(directory) => {
                let index = scattered(self.tree.files_per_directory)?;
                Some((format!("f-{index:07}"), Node::File(directory, index)))
            }
            Node::File(..) => None,
        }
    }
}

impl NfsReadFileSystem for Synthetic {
    type Handle = FileHandleU64;

    fn root_dir(&self) -> FileHandleU64 {
        FileHandleU64::new(ROOT)
    }

    async fn lookup(
        &self,
        dir: &FileHandleU64,
        name: &filename3<'_>,
    ) -> Result<FileHandleU64, nfsstat3> {
        let (directory, initial, count) = match self.node(dir.as_u64())? {
            Node::Root => (None, "d-", self.tree.directories),
            Node::Directory(directory) => (Some(directory), "f-", self.tree.files_per_directory),
            Node::File(..) => return Err(NFS3ERR_NOTDIR),
        };
        let text = std::str::from_utf8(&name.0).ok();
        let index = text.and_then(|text| text.strip_prefix(initial)?.parse::<u64>().ok());
        let index = index.filter(|index| *index < count).ok_or(NFS3ERR_NOENT)?;
        // "d-1" and "d-+000001" are other names than "d-0000001".
        if text != Some(format!("{initial}{index:07}").as_str()) {
            return Err(NFS3ERR_NOENT);
        }
        let node = match directory {
            None => Node::Directory(index),
            Some(directory) => Node::File(directory, index),
        };
        Ok(FileHandleU64::new(self.id(node)))
    }

    async fn getattr(&self, id: &FileHandleU64) -> Result<fattr3, nfsstat3> {
        Ok(self.attributes(self.node(id.as_u64())?))
    }

    async fn read(
        &self,
        id: &FileHandleU64,
        offset: u64,
        count: u32,
    ) -> Result<(Vec<u8>, bool), nfsstat3> {
        let Node::File(directory, file) = self.node(id.as_u64())? else {
            return Err(NFS3ERR_ISDIR);
        };
        let bytes = self
            .tree
            .content(directory, file, offset, u64::from(count).min(READ_MAX));
        let eof = offset.saturating_add(bytes.len() as u64) >= self.tree.file_size;
        Ok((bytes, eof))
    }

    async fn readdirplus(
        &self,
        dir: &FileHandleU64,
        cookie: u64,
    ) -> Result<impl ReadDirPlusIterator<FileHandleU64>, nfsstat3> {
        match self.node(dir.as_u64())? {
            Node::File(..) => Err(NFS3ERR_NOTDIR),
            directory => Ok(Entries {
                files: *self,
                directory,
                position: cookie,
            }),
        }
    }

    async fn readlink(&self, _: &FileHandleU64) -> Result<nfspath3<'_>, nfsstat3> {
        Err(NFS3ERR_INVAL)
    }
}

/// The entries of a directory; a cookie is the position of the entry that follows.
struct Entries {
    files: Synthetic,
    directory: Node,
    position: u64,
}

impl ReadDirPlusIterator<FileHandleU64> for Entries {
    async fn next(&mut self) -> NextResult<DirEntryPlus<FileHandleU64>> {
        let Some((name, node)) = self.files.entry(self.directory, self.position) else {
            return NextResult::Eof;
        };
        self.position += 1;
        let id = self.files.id(node);
        NextResult::Ok(DirEntryPlus {
            fileid: id,
            name: name.into_bytes().into(),
            cookie: self.position,
            name_attributes: Some(self.files.attributes(node)),
            name_handle: Some(FileHandleU64::new(id)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TREE: SyntheticTree = SyntheticTree {
        directories: 3,
        files_per_directory: 1000,
        file_size: 1_000_003,
    };

    #[test]
    fn every_entry_appears_once_and_in_no_order_of_names() {
        let files = Synthetic::new(TREE).unwrap();
        let names: Vec<_> = (0..)
            .map_while(|position| files.entry(Node::Directory(2), position))
            .collect();
        let distinct: BTreeSet<_> = names.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!((names.len(), distinct.len()), (1000, 1000));
        assert!(!names.is_sorted_by(|a, b| a.0 < b.0));
        for (_, node) in names {
            assert_eq!(files.node(files.id(node)), Ok(node));
        }
        assert_eq!(
            files.node(files.id(Node::File(2, 999)) + 1),
            Err(NFS3ERR_STALE)
        );
    }

    #[test]
    fn content_does_not_depend_on_how_it_is_read() {
        let whole = TREE.content(1, 7, 0, u64::MAX);
        assert_eq!(whole.len(), 1_000_003);
        for (offset, length) in [
            (0, 1),
            (1, 15),
            (7, 1),
            (8, 8),
            (999_999, 100),
            (1_000_003, 1),
        ] {
            let piece = TREE.content(1, 7, offset, length);
            let from = usize::try_from(offset).unwrap();
            let to = whole.len().min(from + usize::try_from(length).unwrap());
            assert_eq!(piece, whole[from..to], "{offset}+{length}");
        }
        assert_ne!(whole, TREE.content(7, 1, 0, u64::MAX));
    }

    #[test]
    fn too_large_a_tree_is_refused() {
        let tree = SyntheticTree {
            directories: STRIDE,
            files_per_directory: 1,
            file_size: 0,
        };
        assert_eq!(
            Synthetic::new(tree).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
