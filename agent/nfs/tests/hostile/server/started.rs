//! The server of each version, and how it is mounted.

use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::ExtendedKinds;
use datasync_model::NfsVersion;
use datasync_nfs::{NfsConfig, PrivilegedPorts};

use super::attributes::IO_MAX;
use super::version_3::version_3;
use super::version_4::version_4;
use super::wire::Server;

pub(crate) const VERSIONS: [NfsVersion; 4] = [
    NfsVersion::Nfs3,
    NfsVersion::Nfs4_0,
    NfsVersion::Nfs4_1,
    NfsVersion::Nfs4_2,
];
/// Of one call.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

pub(crate) async fn server(version: NfsVersion) -> Server {
    match version {
        NfsVersion::Nfs3 => Server::start(version_3).await,
        _ => Server::start(version_4).await,
    }
}

/// With all that the version can tell of an entry.
pub(crate) fn config(server: &Server, version: NfsVersion) -> NfsConfig {
    NfsConfig {
        version,
        owners: Arc::default(),
        tls: None,
        lacking: Arc::default(),
        extended: ExtendedKinds {
            acls: version != NfsVersion::Nfs3,
            xattrs: version == NfsVersion::Nfs4_2,
        },
        server_hostname: server.address.to_string(),
        path: "/vol".to_owned(),
        mount_port: Some(server.address.port()),
        privileged_ports: PrivilegedPorts::Never,
        uid: 0,
        gid: 0,
        gids: Vec::new(),
        further_connections: Arc::new(tokio::sync::Semaphore::new(0)),
        connections: 1,
        in_flight_per_connection: 8,
        call_timeout: TIMEOUT,
        read_size_max: IO_MAX,
    }
}
