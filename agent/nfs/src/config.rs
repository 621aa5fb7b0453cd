//! What a caller decides about a mount.

use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{EndpointError, ErrorKind, ExtendedKinds};
use datasync_model::{NfsLocation, NfsVersion};
use tokio::sync::Semaphore;

use crate::lacking::LackingVersions;
use crate::tls::Tls;
use crate::v4::Owners;

/// The most supplementary groups that AUTH_SYS can carry (RFC 5531 appendix A).
const GIDS_MAX: usize = 16;

/// Deadlines are computed from it.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Source ports below 1024, which many servers ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivilegedPorts {
    /// Try one; take any port where the operating system does not allow it or none is free.
    #[default]
    Prefer,
    /// Any port.
    Never,
    /// Fail where no privileged port can be had.
    Require,
}

/// How to reach an export, and as whom.
#[derive(Debug, Clone)]
pub struct NfsConfig {
    /// Which version of the protocol is spoken.
    pub version: NfsVersion,
    /// As in the location: exactly one colon means `host:port`, more mean an IPv6 literal.
    pub server_hostname: String,
    /// Absolute path of the export or of a directory below it.
    pub path: String,
    /// Port of the MOUNT service, tried before the NFS port and the portmapper's answer.
    pub mount_port: Option<u16>,
    /// Whether to call from ports below 1024.
    pub privileged_ports: PrivilegedPorts,
    /// AUTH_SYS user.
    pub uid: u32,
    /// AUTH_SYS group.
    pub gid: u32,
    /// AUTH_SYS supplementary groups, at most 16.
    pub gids: Vec<u32>,
    /// TCP connections, opened as they are needed; at least 1.
    pub connections: usize,
    /// Connections beyond the first that all users of the server may open together.
    pub further_connections: Arc<Semaphore>,
    /// Calls in flight on one connection; at least 1.
    pub in_flight_per_connection: usize,
    /// How long a call may wait before its connection is retired. On a connection that brings other
    /// answers meanwhile (a slow link), up to eight times as long. At most an hour.
    pub call_timeout: Duration,
    /// The largest READ or WRITE in bytes; the server's own limits apply as well. At most 4 MiB.
    pub read_size_max: u32,
    /// The numbers of owners that version 4 tells by name.
    pub owners: Arc<Owners>,
    /// TLS on every connection; for version 4 alone.
    pub tls: Option<Arc<dyn Tls>>,
    /// What is to be told of entries beyond POSIX metadata: only version 4 can.
    pub extended: ExtendedKinds,
    /// What servers were found to lack, for AUTOMATIC.
    pub lacking: Arc<LackingVersions>,
}

impl NfsConfig {
    /// The defaults for a location: root, four connections of 16 calls, 30 s, READs of 1 MiB.
    #[must_use]
    pub fn for_location(location: &NfsLocation) -> Self {
        Self {
            version: location.version,
            server_hostname: location.server_hostname.clone(),
            path: location.subdirectory.clone(),
            mount_port: None,
            privileged_ports: PrivilegedPorts::default(),
            uid: 0,
            gid: 0,
            gids: Vec::new(),
            connections: 4,
            further_connections: Arc::new(Semaphore::new(3)),
            in_flight_per_connection: 16,
            call_timeout: Duration::from_secs(30),
            read_size_max: 1 << 20,
            owners: Arc::default(),
            tls: None,
            extended: ExtendedKinds::default(),
            lacking: Arc::default(),
        }
    }

    /// What no server could make work.
    pub(crate) fn check(&self) -> Result<(), EndpointError> {
        let fault = if self.gids.len() > GIDS_MAX {
            format!(
                "{} groups: AUTH_SYS carries at most {GIDS_MAX}",
                self.gids.len()
            )
        } else if self.connections == 0 || self.in_flight_per_connection == 0 {
            "connections and calls in flight must be at least 1".to_owned()
        } else if self.call_timeout.is_zero() || self.call_timeout > CALL_TIMEOUT_MAX {
            format!(
                "a call timeout of {:?}: use more than zero and at most an hour",
                self.call_timeout
            )
        } else if !(4096..=4 << 20).contains(&self.read_size_max) {
            format!("READs of {} bytes: use 4 KiB to 4 MiB", self.read_size_max)
        } else if self.tls.is_some() && !is_version_4(self.version) {
            format!("version {} has no TLS here", self.version)
        } else {
            return Ok(());
        };
        Err(EndpointError::new(
            ErrorKind::Invalid,
            "MNT",
            format!("{}:{}", self.server_hostname, self.path),
            fault,
        ))
    }
}

/// MOUNT and the portmapper, which version 3 needs, know no TLS.
fn is_version_4(version: NfsVersion) -> bool {
    match version {
        NfsVersion::Nfs4_0 | NfsVersion::Nfs4_1 | NfsVersion::Nfs4_2 => true,
        NfsVersion::Automatic | NfsVersion::Nfs3 => false,
    }
}
