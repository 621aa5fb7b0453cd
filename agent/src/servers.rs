//! The servers that this process's executions use: one value for each, so that all of them together
//! spare it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datasync_model::S3Location;
use datasync_transfer::{Server, ServerLimits};
use tokio::sync::Semaphore;

use crate::config::{NfsSettings, S3Settings};
use crate::endpoints::{DestinationLocation, SourceLocation};

/// How the names of NFS servers begin.
const NFS: &str = "nfs://";

/// Servers in use, by what the locations call them. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    nfs: ServerLimits,
    s3: ServerLimits,
    nfs_connections: usize,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// What is shared by those who use a server.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// What it is asked to bear.
    pub(crate) server: Server,
    /// Connections to an NFS server beyond the first of each execution.
    pub(crate) further_connections: Arc<Semaphore>,
}

impl Servers {
    pub(crate) fn new(nfs: &NfsSettings, s3: &S3Settings) -> Self {
        Self {
            nfs: nfs.limits,
            s3: s3.limits,
            nfs_connections: nfs.connections,
            known: Arc::default(),
        }
    }

    /// The server of a source: all exports of an NFS server are one, all access points of a file
    /// system are; a store is the same as source and as destination.
    pub(crate) fn source(&self, location: SourceLocation<'_>) -> Known {
        let name = match location {
            SourceLocation::Nfs(nfs) => format!("{NFS}{}", nfs.server_hostname),
            SourceLocation::Efs(efs) => format!("{NFS}{}", efs.dns_name()),
            SourceLocation::S3(s3) => return self.s3(s3),
        };
        self.get(name, self.nfs)
    }

    /// The server of a destination. An NFS server is another one than where it is read from: a WRITE
    /// of content that is read meanwhile must not wait for the place that its own READs wait for.
    pub(crate) fn destination(&self, location: DestinationLocation<'_>) -> Known {
        let host = match location {
            DestinationLocation::S3(s3) => return self.s3(s3),
            DestinationLocation::Nfs(nfs) => nfs.server_hostname.clone(),
            DestinationLocation::Efs(efs) => efs.dns_name(),
        };
        self.get(format!("{NFS}{host} as a destination"), self.nfs)
    }

    /// The server of an S3 location: a store, or a bucket of AWS, which each have limits of their
    /// own.
    pub(crate) fn s3(&self, location: &S3Location) -> Known {
        let name = match &location.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("s3://{}", location.bucket),
        };
        self.get(name, self.s3)
    }

    /// Requests in flight at all NFS servers, and at all stores.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |is_wanted: fn(&str) -> bool| {
            let wanted = known.iter().filter(|(name, _)| is_wanted(name));
            wanted.map(|(_, known)| known.server.in_flight()).sum()
        };
        (
            sum(|name| name.starts_with(NFS)),
            sum(|name| !name.starts_with(NFS)),
        )
    }

    fn get(&self, name: String, limits: ServerLimits) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known.server.is_in_use());
        let unknown = || Known {
            server: Server::new(name.clone(), limits),
            further_connections: Arc::new(Semaphore::new(self.nfs_connections.saturating_sub(1))),
        };
        known.entry(name.clone()).or_insert_with(unknown).clone()
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::{NfsLocation, NfsVersion};

    use super::*;
    use crate::config::PrivilegedPorts;

    fn nfs(host: &str, path: &str) -> NfsLocation {
        let arn = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";
        NfsLocation {
            arn: arn.parse().unwrap(),
            server_hostname: host.to_owned(),
            subdirectory: path.to_owned(),
            version: NfsVersion::Automatic,
        }
    }

    #[test]
    fn executions_at_one_server_share_its_value_as_long_as_one_of_them_runs() {
        let nfs_settings = NfsSettings {
            connections: 4,
            mount_port: None,
            privileged_ports: PrivilegedPorts::Prefer,
            limits: ServerLimits::default(),
            owners: crate::config::SharedOwners::default(),
        };
        let s3_settings = S3Settings::default();
        let servers = Servers::new(&nfs_settings, &s3_settings);
        let server = |nfs: &NfsLocation| servers.source(SourceLocation::Nfs(nfs));
        let first = server(&nfs("nas", "/a"));
        assert_eq!(first.further_connections.available_permits(), 3);
        let second = server(&nfs("nas", "/b"));
        assert!(second.server.is_same(&first.server));
        assert!(Arc::ptr_eq(
            &second.further_connections,
            &first.further_connections
        ));
        let other = server(&nfs("other", "/a"));
        assert!(!other.server.is_same(&first.server));
        let written = servers.destination(DestinationLocation::Nfs(&nfs("nas", "/a")));
        assert!(!written.server.is_same(&first.server));
        drop((first, second, written));
        server(&nfs("other", "/a"));
        assert_eq!(servers.known.lock().unwrap().len(), 1);
    }
}
