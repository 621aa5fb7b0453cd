//! A server that does what a test tells it to.

use std::time::Duration;

use crate::config::{NfsConfig, PrivilegedPorts};

/// A configuration with short waits.
pub(crate) fn config(host: &str, path: &str) -> NfsConfig {
    NfsConfig {
        server_hostname: host.to_owned(),
        path: path.to_owned(),
        mount_port: None,
        privileged_ports: PrivilegedPorts::Never,
        uid: 0,
        gid: 0,
        gids: Vec::new(),
        connections: 2,
        in_flight_per_connection: 4,
        call_timeout: Duration::from_secs(5),
        read_size_max: 1 << 20,
    }
}
