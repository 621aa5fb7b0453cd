//! Makes a readable file system a read-only one.
//!
//! The adapter of `nfs3_server` clears the write bits of every mode; here modes stay as they are.

use nfs3_server::vfs::{
    NfsFileSystem, NfsReadFileSystem, ReadDirIterator, ReadDirPlusIterator, VFSCapabilities,
};
use nfs3_types::nfs3::nfsstat3::NFS3ERR_ROFS;
use nfs3_types::nfs3::{
    FSINFO3resok, createverf3, fattr3, filename3, nfspath3, nfsstat3, sattr3, stable_how,
};

pub(crate) struct ReadOnly<F>(pub(crate) F);

impl<F: NfsReadFileSystem> NfsReadFileSystem for ReadOnly<F> {
    type Handle = F::Handle;

    fn root_dir(&self) -> F::Handle {
        self.0.root_dir()
    }

    async fn lookup(&self, dir: &F::Handle, name: &filename3<'_>) -> Result<F::Handle, nfsstat3> {
        self.0.lookup(dir, name).await
    }

    async fn getattr(&self, id: &F::Handle) -> Result<fattr3, nfsstat3> {
        self.0.getattr(id).await
    }

    async fn read(
        &self,
        id: &F::Handle,
        offset: u64,
        count: u32,
    ) -> Result<(Vec<u8>, bool), nfsstat3> {
        self.0.read(id, offset, count).await
    }

    async fn readdir(
        &self,
        dir: &F::Handle,
        cookie: u64,
    ) -> Result<impl ReadDirIterator, nfsstat3> {
        self.0.readdir(dir, cookie).await
    }

    async fn readdirplus(
        &self,
        dir: &F::Handle,
        cookie: u64,
    ) -> Result<impl ReadDirPlusIterator<F::Handle>, nfsstat3> {
        self.0.readdirplus(dir, cookie).await
    }

    async fn readlink(&self, id: &F::Handle) -> Result<nfspath3<'_>, nfsstat3> {
        self.0.readlink(id).await
    }

    async fn fsinfo(&self, root: &F::Handle) -> Result<FSINFO3resok, nfsstat3> {
        self.0.fsinfo(root).await
    }
}

impl<F: NfsReadFileSystem> NfsFileSystem for ReadOnly<F> {
    fn capabilities(&self) -> VFSCapabilities {
        VFSCapabilities::ReadOnly
    }

    async fn setattr(&self, _: &F::Handle, _: sattr3) -> Result<fattr3, nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn write(
        &self,
        _: &F::Handle,
        _: u64,
        _: &[u8],
        _: stable_how,
    ) -> Result<(fattr3, stable_how), nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn create(
        &self,
        _: &F::Handle,
        _: &filename3<'_>,
        _: sattr3,
    ) -> Result<(F::Handle, fattr3), nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn create_exclusive(
        &self,
        _: &F::Handle,
        _: &filename3<'_>,
        _: createverf3,
    ) -> Result<F::Handle, nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn mkdir(
        &self,
        _: &F::Handle,
        _: &filename3<'_>,
    ) -> Result<(F::Handle, fattr3), nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn remove(&self, _: &F::Handle, _: &filename3<'_>) -> Result<(), nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn rename<'a>(
        &self,
        _: &F::Handle,
        _: &filename3<'a>,
        _: &F::Handle,
        _: &filename3<'a>,
    ) -> Result<(), nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn symlink<'a>(
        &self,
        _: &F::Handle,
        _: &filename3<'a>,
        _: &nfspath3<'a>,
        _: &sattr3,
    ) -> Result<(F::Handle, fattr3), nfsstat3> {
        Err(NFS3ERR_ROFS)
    }

    async fn commit(&self, _: &F::Handle, _: u64, _: u32) -> Result<(), nfsstat3> {
        Err(NFS3ERR_ROFS)
    }
}
