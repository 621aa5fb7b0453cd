//! Where control listens for agents: one address, or one for each of its replicas.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datasync_model::Proxy;

/// Where one replica of control listens for agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlAddress {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name that control's certificate must carry.
    pub server_name: String,
    /// The way there, where it is not direct.
    pub proxy: Option<Proxy>,
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Every replica's address, at least one. Clones share which of them is tried first.
#[derive(Debug, Clone)]
pub struct ControlAddresses {
    addresses: Arc<[ControlAddress]>,
    first: Arc<AtomicUsize>,
}

impl ControlAddresses {
    /// `None` without an address.
    pub(crate) fn new(addresses: Vec<ControlAddress>) -> Option<Self> {
        (!addresses.is_empty()).then(|| Self {
            addresses: addresses.into(),
            first: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// All of them once, the one that was [preferred](Self::prefer) first.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &ControlAddress> {
        let first = self.first.load(Ordering::Relaxed) % self.addresses.len();
        let (later, sooner) = self.addresses.split_at(first);
        sooner.iter().chain(later)
    }

    /// The one that is tried first: while there is a connection, the one that it is to.
    pub(crate) fn first(&self) -> &ControlAddress {
        &self.addresses[self.first.load(Ordering::Relaxed) % self.addresses.len()]
    }

    /// Tries `address` first from now on.
    pub(crate) fn prefer(&self, address: &ControlAddress) {
        if let Some(at) = self.addresses.iter().position(|known| known == address) {
            self.first.store(at, Ordering::Relaxed);
        }
    }

    /// Tries the next one first from now on: the one that is first now answers and is of no use.
    pub(crate) fn pass_over(&self) {
        self.first.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for ControlAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.addresses.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> ControlAddress {
        ControlAddress {
            host: host.to_owned(),
            port: 9443,
            server_name: host.to_owned(),
            proxy: None,
        }
    }

    #[test]
    fn each_address_has_its_turn_and_the_good_one_comes_first() {
        let all = ControlAddresses::new(["a", "b", "c"].map(address).into()).unwrap();
        let order = || -> Vec<&str> { all.in_turn().map(|at| at.host.as_str()).collect() };
        assert_eq!(order(), ["a", "b", "c"]);
        all.clone().prefer(&address("c"));
        assert_eq!(order(), ["c", "a", "b"]);
        all.pass_over();
        assert_eq!(order(), ["a", "b", "c"]);
        all.prefer(&address("unknown"));
        assert_eq!(order(), ["a", "b", "c"]);
        assert_eq!(all.to_string(), "a:9443,b:9443,c:9443");
        assert!(ControlAddresses::new(Vec::new()).is_none());
    }
}
