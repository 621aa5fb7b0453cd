//! The contract that every source keeps, over the embedded NFS server.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests"
)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use datasync_endpoint::contract::{SourceWorld, source_contract};
use datasync_model::{NfsLocation, NfsVersion};
use datasync_nfs::{NfsConfig, NfsSource, PrivilegedPorts};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

struct World {
    source: NfsSource,
    export: PathBuf,
}

impl World {
    fn local(&self, path: &[u8]) -> PathBuf {
        self.export.join(OsStr::from_bytes(path))
    }
}

impl SourceWorld for World {
    type Source = NfsSource;

    fn source(&self) -> &NfsSource {
        &self.source
    }

    fn write(&self, path: &[u8], content: &[u8]) {
        std::fs::write(self.local(path), content).unwrap();
    }

    fn make_directory(&self, path: &[u8]) {
        std::fs::create_dir(self.local(path)).unwrap();
    }

    fn make_link(&self, path: &[u8], target: &[u8]) {
        std::os::unix::fs::symlink(OsStr::from_bytes(target), self.local(path)).unwrap();
    }

    fn remove(&self, path: &[u8]) {
        match std::fs::remove_file(self.local(path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_contract_is_kept_over_the_embedded_server() {
    let export = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    let path = export.path().to_path_buf();
    server.spawn(quickstart_nas::serve(
        listener,
        path.clone(),
        CancellationToken::new(),
    ));
    let arn = "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0";
    let mut config = NfsConfig::for_location(&NfsLocation {
        arn: arn.parse().unwrap(),
        server_hostname: address.to_string(),
        subdirectory: "/".to_owned(),
        version: NfsVersion::Nfs3,
    });
    config.privileged_ports = PrivilegedPorts::Never;
    let source = NfsSource::mount(config).await.unwrap();
    Box::pin(source_contract(&World {
        source,
        export: path,
    }))
    .await;
}
