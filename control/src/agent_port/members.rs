//! Connections of those that showed a certificate: agents need one, and some more while they
//! reconnect; no certificate gets all there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Connections with one certificate at a time. A lost one lives until it answers no ping.
const CONNECTIONS_MAX: usize = 64;

type Fingerprint = [u8; 32];

/// How many connections each certificate has.
#[derive(Debug, Clone, Default)]
pub(super) struct Members(Arc<Mutex<HashMap<Fingerprint, usize>>>);

impl Members {
    /// A place for a connection with `certificate`, in DER; `None` if it has too many.
    pub(super) fn enter(&self, certificate: &[u8]) -> Option<MemberPlace> {
        let fingerprint = Sha256::digest(certificate).into();
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = present.entry(fingerprint).or_default();
        if *count == CONNECTIONS_MAX {
            return None;
        }
        *count += 1;
        Some(MemberPlace {
            members: self.clone(),
            fingerprint,
        })
    }
}

/// A place, given back on drop.
#[derive(Debug)]
pub(super) struct MemberPlace {
    members: Members,
    fingerprint: Fingerprint,
}

impl Drop for MemberPlace {
    fn drop(&mut self) {
        let present = self.members.0.lock();
        let mut present = present.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = present.get_mut(&self.fingerprint) {
            *count -= 1;
            if *count == 0 {
                present.remove(&self.fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_so_many_connections_and_no_more() {
        let members = Members::default();
        let mut places: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| members.enter(b"one").unwrap())
            .collect();
        assert!(members.enter(b"one").is_none());
        assert!(members.enter(b"another").is_some());
        places.pop();
        places.push(members.enter(b"one").unwrap());
        drop(places);
        assert!(members.0.lock().unwrap().is_empty());
    }
}
