use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::{fs, path::PathBuf};

use nfs3_server::vfs::NextResult;
use nfs3_types::nfs3::ftype3;
use tempfile::TempDir;

use super::*;

struct World {
    directory: TempDir,
    export: Export,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("export")).unwrap();
        let export = Export::open(&directory.path().join("export")).unwrap();
        Self { directory, export }
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.directory
            .path()
            .join("export")
            .join(OsStr::from_bytes(name))
    }

    async fn find(&self, path: &[u8]) -> Result<FileHandleU64, nfsstat3> {
        let mut id = self.export.root_dir();
        for name in path.split(|byte| *byte == b'/') {
            id = self.export.lookup(&id, &filename3::from(name)).await?;
        }
        Ok(id)
    }

    /// Names and cookies of one page of at most `count` entries.
    async fn page(&self, dir: &FileHandleU64, cookie: u64, count: usize) -> Vec<(Vec<u8>, u64)> {
        let mut entries = self.export.readdirplus(dir, cookie).await.unwrap();
        let mut page = Vec::new();
        while page.len() < count {
            match entries.next().await {
                NextResult::Ok(entry) => page.push((entry.name.0.to_vec(), entry.cookie)),
                NextResult::Eof => break,
                NextResult::Err(status) => panic!("{status}"),
            }
        }
        page
    }
}

#[tokio::test]
async fn attributes_are_those_of_the_file() {
    let world = World::new();
    let path = world.path(b"file\xff\n");
    fs::write(&path, "content").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o6741)).unwrap();
    fs::hard_link(&path, world.path(b"link")).unwrap();
    let attributes = world
        .export
        .getattr(&world.find(b"file\xff\n").await.unwrap())
        .await
        .unwrap();
    let real = fs::metadata(&path).unwrap();
    assert_eq!(attributes.type_, ftype3::NF3REG);
    assert_eq!(
        (attributes.mode, attributes.nlink, attributes.size),
        (0o6741, 2, 7)
    );
    assert_eq!((attributes.uid, attributes.gid), (real.uid(), real.gid()));
    assert_eq!(
        (attributes.fileid, attributes.fsid),
        (real.ino(), real.dev())
    );
    assert_eq!(i64::from(attributes.mtime.seconds), real.mtime());
    assert_eq!(i64::from(attributes.mtime.nseconds), real.mtime_nsec());
    assert_eq!(i64::from(attributes.ctime.nseconds), real.ctime_nsec());
}

#[tokio::test]
async fn reads_say_where_the_file_ends() {
    let world = World::new();
    fs::write(world.path(b"file"), "0123456789").unwrap();
    let id = world.find(b"file").await.unwrap();
    let read = async |offset, count| world.export.read(&id, offset, count).await.unwrap();
    assert_eq!(read(2, 3).await, (b"234".to_vec(), false));
    assert_eq!(read(7, 3).await, (b"789".to_vec(), true));
    assert_eq!(read(7, 100).await, (b"789".to_vec(), true));
    assert_eq!(read(10, 1).await, (vec![], true));
    assert_eq!(read(u64::MAX, 1).await, (vec![], true));
    assert_eq!(
        world.export.read(&world.export.root_dir(), 0, 1).await,
        Err(NFS3ERR_ISDIR)
    );
}

#[tokio::test]
async fn a_large_directory_is_listed_page_by_page_while_it_changes() {
    let world = World::new();
    let names: BTreeSet<Vec<u8>> = (0..3000)
        .map(|n| format!("file-{n}").into_bytes())
        .collect();
    for name in &names {
        fs::write(world.path(name), "").unwrap();
    }
    let (mut seen, mut cookie, root) = (BTreeSet::new(), 0, world.export.root_dir());
    loop {
        let page = world.page(&root, cookie, 100).await;
        let Some((_, last)) = page.last() else { break };
        cookie = *last;
        for (name, _) in page {
            // What was listed goes away; what was not must still come, each once.
            fs::remove_file(world.path(&name)).unwrap();
            assert!(seen.insert(name));
        }
    }
    assert_eq!(seen, names);
}

#[tokio::test]
async fn links_are_shown_and_never_followed() {
    let world = World::new();
    fs::create_dir(world.directory.path().join("outside")).unwrap();
    fs::write(world.directory.path().join("outside/secret"), "secret").unwrap();
    fs::create_dir(world.path(b"sub")).unwrap();
    fs::write(world.path(b"sub/secret"), "mine").unwrap();
    let secret = world.find(b"sub/secret").await.unwrap();
    symlink("../outside", world.path(b"link")).unwrap();
    let link = world.find(b"link").await.unwrap();
    assert_eq!(
        world.export.getattr(&link).await.unwrap().type_,
        ftype3::NF3LNK
    );
    assert_eq!(
        &*world.export.readlink(&link).await.unwrap().0,
        b"../outside"
    );
    assert_eq!(world.find(b"link/secret").await, Err(NFS3ERR_NOTDIR));
    assert_eq!(world.export.read(&link, 0, 1).await, Err(NFS3ERR_INVAL));
    // The directory becomes a link to outside, under a handle that was good before.
    fs::remove_dir_all(world.path(b"sub")).unwrap();
    symlink("../outside", world.path(b"sub")).unwrap();
    assert_eq!(world.export.read(&secret, 0, 10).await, Err(NFS3ERR_STALE));
    let up = world.find(b"..").await.unwrap();
    assert_eq!(up, world.export.root_dir());
    assert_eq!(world.find(b"").await, Err(NFS3ERR_NOENT));
    let sneaky = filename3::from(b"../outside/secret".as_slice());
    assert_eq!(
        world.export.lookup(&world.export.root_dir(), &sneaky).await,
        Err(NFS3ERR_NOENT)
    );
}

#[tokio::test]
async fn a_handle_means_one_file_only() {
    let world = World::new();
    fs::write(world.path(b"file"), "old").unwrap();
    let old = world.find(b"file").await.unwrap();
    assert_eq!(world.find(b"file").await, Ok(old));
    fs::write(world.path(b"new"), "new").unwrap();
    fs::rename(world.path(b"new"), world.path(b"file")).unwrap();
    assert_eq!(world.export.getattr(&old).await.unwrap_err(), NFS3ERR_STALE);
    let new = world.find(b"file").await.unwrap();
    assert_eq!(
        world.export.read(&new, 0, 10).await,
        Ok((b"new".to_vec(), true))
    );
    assert_eq!(world.export.read(&old, 0, 10).await, Err(NFS3ERR_STALE));
    assert_eq!(
        world
            .export
            .getattr(&FileHandleU64::new(999))
            .await
            .unwrap_err(),
        NFS3ERR_STALE
    );
}
