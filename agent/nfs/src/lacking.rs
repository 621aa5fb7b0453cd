//! What servers have said that they lack, so that it is not asked for again at each mount.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datasync_endpoint::EndpointError;
use datasync_model::NfsVersion;
use tokio::time::Instant;

/// A server may be upgraded.
const KEPT: Duration = Duration::from_secs(3600);
const SERVERS_MAX: usize = 1024;

/// Why a version of NFS is not served, in the server's own words: the source of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lack {
    /// The program has no version 4.
    #[error("the server has no version 4 of NFS at all")]
    Version4,
    /// Version 4 is there without the minor version.
    #[error("the server lacks the minor version")]
    Minor,
}

impl Lack {
    /// What `error` of a mount by `version` says that the server lacks, as far as AUTOMATIC goes.
    pub(crate) fn told_by(error: &EndpointError, version: NfsVersion) -> Vec<NfsVersion> {
        let source = error.source.as_ref();
        match source.and_then(|source| source.downcast_ref::<Self>()) {
            Some(Self::Version4) => vec![NfsVersion::Nfs4_1, NfsVersion::Nfs4_0],
            Some(Self::Minor) => vec![version],
            None => Vec::new(),
        }
    }
}

#[derive(Debug, Clone)]
struct Known {
    versions: Vec<NfsVersion>,
    until: Instant,
}

/// The versions that servers lack, by host, for an hour. Shared by the mounts of a process.
#[derive(Debug, Default)]
pub struct LackingVersions(Mutex<HashMap<String, Known>>);

impl LackingVersions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn of(&self, host: &str, now: Instant) -> Vec<NfsVersion> {
        let known = self.lock();
        let known = known.get(host).filter(|known| now < known.until);
        known.map_or_else(Vec::new, |known| known.versions.clone())
    }

    pub(crate) fn note(&self, host: &str, versions: Vec<NfsVersion>, now: Instant) {
        let mut known = self.lock();
        if known.len() >= SERVERS_MAX {
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= SERVERS_MAX {
            known.clear();
        }
        let until = now + KEPT;
        known.insert(host.to_owned(), Known { versions, until });
    }

    pub(crate) fn forget(&self, host: &str) {
        self.lock().remove(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_server_is_kept_for_an_hour() {
        let (known, now) = (LackingVersions::default(), Instant::now());
        known.note("nas", vec![NfsVersion::Nfs4_1], now);
        assert_eq!(known.of("nas", now), [NfsVersion::Nfs4_1]);
        assert_eq!(known.of("other", now), []);
        assert_eq!(known.of("nas", now + KEPT), []);
        known.forget("nas");
        assert_eq!(known.of("nas", now), []);
    }

    #[test]
    fn the_number_of_servers_is_bounded() {
        let (known, now) = (LackingVersions::default(), Instant::now());
        for number in 0..=SERVERS_MAX {
            known.note(&number.to_string(), Vec::new(), now);
        }
        assert_eq!(known.lock().len(), 1);
        known.note("old", Vec::new(), now);
        for number in 2..SERVERS_MAX {
            known.note(&number.to_string(), Vec::new(), now + KEPT / 2);
        }
        known.note("new", Vec::new(), now + KEPT);
        assert_eq!(known.lock().len(), SERVERS_MAX - 1, "two had run out");
    }
}
