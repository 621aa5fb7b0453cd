//! The servers that this process's executions use: one value for each, so that all of them together
//! spare it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datasync_model::{NfsLocation, S3Location};
use datasync_transfer::{Server, ServerLimits};

/// Servers in use, by what the locations call them. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    nfs: ServerLimits,
    s3: ServerLimits,
    known: Arc<Mutex<HashMap<String, Server>>>,
}

impl Servers {
    pub(crate) fn new(nfs: ServerLimits, s3: ServerLimits) -> Self {
        Self {
            nfs,
            s3,
            known: Arc::default(),
        }
    }

    /// The server of an NFS location: all of its exports are one.
    pub(crate) fn nfs(&self, location: &NfsLocation) -> Server {
        self.get(format!("nfs://{}", location.server_hostname), self.nfs)
    }

    /// The server of an S3 location: a store, or a bucket of AWS, which each have limits of their
    /// own.
    pub(crate) fn s3(&self, location: &S3Location) -> Server {
        let name = match &location.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("s3://{}", location.bucket),
        };
        self.get(name, self.s3)
    }

    fn get(&self, name: String, limits: ServerLimits) -> Server {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, server| server.is_in_use());
        known
            .entry(name)
            .or_insert_with(|| Server::new(limits))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::NfsVersion;

    use super::*;

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
        let servers = Servers::new(ServerLimits::default(), ServerLimits::default());
        let first = servers.nfs(&nfs("nas", "/a"));
        assert!(servers.nfs(&nfs("nas", "/b")).is_same(&first));
        let other = servers.nfs(&nfs("other", "/a"));
        assert!(!other.is_same(&first));
        drop(first);
        servers.nfs(&nfs("other", "/a"));
        assert_eq!(servers.known.lock().unwrap().len(), 1);
    }
}
