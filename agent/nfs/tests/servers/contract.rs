//! The contracts that every source and every destination keep.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use datasync_endpoint::contract::{SourceWorld, destination_contract, source_contract};
use datasync_nfs::{NfsDestination, NfsSource};

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

#[tokio::test]
#[ignore = "needs nfs-ganesha: run by tests/run"]
async fn the_contract_of_destinations_is_kept() {
    // Others compare the export's root with the local directory.
    let export = Export::exclusive();
    let directory = export.local("destination");
    fs::create_dir(&directory).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let config = export.config_below("/destination");
    let log = scratch.path().join("times");
    let opening = NfsDestination::open(config, &log);
    let destination = Box::pin(opening).await.unwrap();
    Box::pin(destination_contract(&destination)).await;
    let left: Vec<_> = fs::read_dir(&directory).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    fs::remove_dir(&directory).unwrap();
}
