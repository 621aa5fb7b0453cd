//! A local directory, as it is.

mod attributes;
mod directory;
mod nodes;

use std::io;
use std::path::Path;
use std::sync::Arc;

use nfs3_server::vfs::{FileHandleU64, NfsReadFileSystem, ReadDirPlusIterator};
use nfs3_types::nfs3::nfsstat3::{
    NFS3ERR_ACCES, NFS3ERR_INVAL, NFS3ERR_IO, NFS3ERR_ISDIR, NFS3ERR_NAMETOOLONG, NFS3ERR_NOENT,
    NFS3ERR_NOTDIR, NFS3ERR_PERM, NFS3ERR_SERVERFAULT, NFS3ERR_STALE,
};
use nfs3_types::nfs3::{
    FSF3_HOMOGENEOUS, FSF3_LINK, FSF3_SYMLINK, FSINFO3resok, fattr3, filename3, nfspath3, nfsstat3,
    nfstime3, post_op_attr,
};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::{Errno, pread};
use tokio::task::JoinSet;

use self::attributes::attributes;
use self::directory::Entries;
use self::nodes::{Identity, Nodes, ROOT};

/// Largest READ that is answered in full, in bytes.
const READ_MAX: u32 = 1024 * 1024;

/// The exported directory. Nothing outside it is reached: every path is walked component by
/// component from the root's descriptor, and no symbolic link is followed.
pub(crate) struct Export {
    shared: Arc<Shared>,
}

/// What work on the blocking pool needs.
pub(crate) struct Shared {
    root: OwnedFd,
    nodes: Nodes,
}

impl Export {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        let identity = Identity::of(&fstat(&root)?);
        Ok(Self {
            shared: Arc::new(Shared {
                root,
                nodes: Nodes::new(identity),
            }),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Shared>) -> Result<T, nfsstat3> + Send + 'static,
    ) -> Result<T, nfsstat3> {
        blocking(self.shared.clone(), work).await
    }
}

/// Runs file work on the blocking pool.
async fn blocking<T: Send + 'static>(
    shared: Arc<Shared>,
    work: impl FnOnce(&Arc<Shared>) -> Result<T, nfsstat3> + Send + 'static,
) -> Result<T, nfsstat3> {
    let mut tasks = JoinSet::new();
    tasks.spawn_blocking(move || work(&shared));
    match tasks.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(_)) | None => Err(NFS3ERR_SERVERFAULT),
    }
}

fn status(error: Errno) -> nfsstat3 {
    match error {
        Errno::NOENT => NFS3ERR_NOENT,
        Errno::ACCESS => NFS3ERR_ACCES,
        Errno::PERM => NFS3ERR_PERM,
        Errno::NOTDIR => NFS3ERR_NOTDIR,
        Errno::ISDIR => NFS3ERR_ISDIR,
        Errno::NAMETOOLONG => NFS3ERR_NAMETOOLONG,
        Errno::INVAL => NFS3ERR_INVAL,
        Errno::STALE => NFS3ERR_STALE,
        _ => NFS3ERR_IO,
    }
}

/// On the way to a known handle, a missing or changed component means that the handle is stale.
fn handle_status(error: Errno) -> nfsstat3 {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => NFS3ERR_STALE,
        other => status(other),
    }
}

impl Shared {
    /// The directory that holds a node, and its name there; the root is in itself, as `.`.
    fn parent(&self, id: u64) -> Result<(OwnedFd, Vec<u8>), nfsstat3> {
        let mut path = self.nodes.path(id).ok_or(NFS3ERR_STALE)?;
        let name = path
            .pop()
            .map_or_else(|| b".".to_vec(), |name| name.to_vec());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = openat(&self.root, ".", flags, Mode::empty()).map_err(handle_status)?;
        for component in path {
            directory =
                openat(&directory, &*component, flags, Mode::empty()).map_err(handle_status)?;
        }
        Ok((directory, name))
    }

    /// Its attributes, if the name still means the same file.
    fn stat(&self, id: u64) -> Result<Stat, nfsstat3> {
        let (directory, name) = self.parent(id)?;
        let stat = statat(&directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(handle_status)?;
        self.check(id, &stat)?;
        Ok(stat)
    }

    fn check(&self, id: u64, stat: &Stat) -> Result<(), nfsstat3> {
        if self.nodes.identity(id) == Some(Identity::of(stat)) {
            Ok(())
        } else {
            Err(NFS3ERR_STALE)
        }
    }

    /// Opens a node for reading; it must be of the given type.
    fn open(&self, id: u64, wanted: FileType) -> Result<(OwnedFd, Stat), nfsstat3> {
        let (directory, name) = self.parent(id)?;
        let before = statat(&directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(handle_status)?;
        self.check(id, &before)?;
        let kind = FileType::from_raw_mode(before.st_mode);
        if kind != wanted {
            return Err(match (kind, wanted) {
                (_, FileType::Directory) => NFS3ERR_NOTDIR,
                (FileType::Directory, _) => NFS3ERR_ISDIR,
                _ => NFS3ERR_INVAL,
            });
        }
        // NONBLOCK: should the name have become a FIFO just now, open must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            openat(&directory, name.as_slice(), flags, Mode::empty()).map_err(handle_status)?;
        let stat = fstat(&file).map_err(status)?;
        self.check(id, &stat)?;
        Ok((file, stat))
    }

    fn lookup(&self, id: u64, name: &[u8]) -> Result<u64, nfsstat3> {
        match name {
            b"." => return Ok(id),
            b".." => return Ok(self.nodes.parent(id).unwrap_or(ROOT)),
            _ if name.is_empty() || name.contains(&b'/') || name.contains(&0) => {
                return Err(NFS3ERR_NOENT);
            }
            _ => {}
        }
        let (directory, _) = self.open(id, FileType::Directory)?;
        let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(status)?;
        Ok(self.nodes.intern(id, name, Identity::of(&stat)))
    }

    fn read(&self, id: u64, offset: u64, count: u32) -> Result<(Vec<u8>, bool), nfsstat3> {
        let (file, stat) = self.open(id, FileType::RegularFile)?;
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let wanted = u64::from(count.min(READ_MAX)).min(size.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or_default()];
        let mut filled = 0;
        while filled < bytes.len() {
            match pread(&file, &mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(status(error)),
            }
        }
        // A file that shrank while it was read ends here.
        bytes.truncate(filled);
        let eof = (filled as u64) < wanted || offset.saturating_add(wanted) >= size;
        Ok((bytes, eof))
    }

    fn readlink(&self, id: u64) -> Result<Vec<u8>, nfsstat3> {
        let (directory, name) = self.parent(id)?;
        let stat = statat(&directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(handle_status)?;
        self.check(id, &stat)?;
        let target = readlinkat(&directory, name.as_slice(), Vec::new()).map_err(status)?;
        Ok(target.into_bytes())
    }
}

impl NfsReadFileSystem for Export {
    type Handle = FileHandleU64;

    fn root_dir(&self) -> FileHandleU64 {
        FileHandleU64::new(ROOT)
    }

    async fn lookup(
        &self,
        dir: &FileHandleU64,
        name: &filename3<'_>,
    ) -> Result<FileHandleU64, nfsstat3> {
        let (id, name) = (dir.as_u64(), name.0.to_vec());
        self.blocking(move |shared| shared.lookup(id, &name).map(FileHandleU64::new))
            .await
    }

    async fn getattr(&self, id: &FileHandleU64) -> Result<fattr3, nfsstat3> {
        let id = id.as_u64();
        self.blocking(move |shared| shared.stat(id).map(|stat| attributes(&stat)))
            .await
    }

    async fn read(
        &self,
        id: &FileHandleU64,
        offset: u64,
        count: u32,
    ) -> Result<(Vec<u8>, bool), nfsstat3> {
        let id = id.as_u64();
        self.blocking(move |shared| shared.read(id, offset, count))
            .await
    }

    async fn readdirplus(
        &self,
        dir: &FileHandleU64,
        cookie: u64,
    ) -> Result<impl ReadDirPlusIterator<FileHandleU64>, nfsstat3> {
        Entries::open(self.shared.clone(), dir.as_u64(), cookie).await
    }

    async fn readlink(&self, id: &FileHandleU64) -> Result<nfspath3<'_>, nfsstat3> {
        let id = id.as_u64();
        self.blocking(move |shared| shared.readlink(id))
            .await
            .map(nfspath3::from)
    }

    async fn fsinfo(&self, root: &FileHandleU64) -> Result<FSINFO3resok, nfsstat3> {
        let attributes = self.getattr(root).await?;
        Ok(FSINFO3resok {
            obj_attributes: post_op_attr::Some(attributes),
            rtmax: READ_MAX,
            rtpref: READ_MAX,
            rtmult: 4096,
            wtmax: READ_MAX,
            wtpref: READ_MAX,
            wtmult: 4096,
            dtpref: 65_536,
            maxfilesize: i64::MAX.unsigned_abs(),
            time_delta: nfstime3 {
                seconds: 0,
                nseconds: 1,
            },
            properties: FSF3_LINK | FSF3_SYMLINK | FSF3_HOMOGENEOUS,
        })
    }
}

#[cfg(test)]
mod tests;
