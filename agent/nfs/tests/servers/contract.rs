//! The contract that every source keeps.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use datasync_endpoint::contract::{SourceWorld, source_contract};
use datasync_nfs::NfsSource;

use crate::export::Export;

struct World {
    source: NfsSource,
    directory: PathBuf,
}

impl World {
    fn local(&self, path: &[u8]) -> PathBuf {
        self.directory.join(OsStr::from_bytes(path))
    }
}

impl SourceWorld for World {
    type Source = NfsSource;

    fn source(&self) -> &NfsSource {
        &self.source
    }

    fn write(&self, path: &[u8], content: &[u8]) {
        fs::write(self.local(path), content).unwrap();
    }

    fn make_directory(&self, path: &[u8]) {
        fs::create_dir(self.local(path)).unwrap();
    }

    fn make_link(&self, path: &[u8], target: &[u8]) {
        std::os::unix::fs::symlink(OsStr::from_bytes(target), self.local(path)).unwrap();
    }

    fn remove(&self, path: &[u8]) {
        match fs::remove_file(self.local(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

#[tokio::test]
#[ignore = "needs an NFS server: run by tests/run"]
async fn the_contract_is_kept() {
    // Others compare the export's root with the local directory.
    let export = Export::exclusive();
    let directory = export.local("contract");
    fs::create_dir(&directory).unwrap();
    let source = NfsSource::mount(export.config_below("/contract"))
        .await
        .unwrap();
    let world = World { source, directory };
    Box::pin(source_contract(&world)).await;
    fs::remove_dir_all(&world.directory).unwrap();
}
