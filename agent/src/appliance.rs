//! The machine where it is the appliance: its settings outside of the agent, which the local console
//! and the first boot write.

mod files;
mod netfiles;
mod network;
mod replacing;

use std::path::Path;

pub(crate) use files::{MachineFile, read_small};
pub(crate) use netfiles::files as network_files;
pub(crate) use network::{
    ADDRESS, DNS, GATEWAY, INTERFACE, NO_PROXY, NetworkSettings, PROXY, TIME,
};
pub(crate) use replacing::{NotReplaced, replace_all};

#[cfg(test)]
pub(crate) use network::tests::good;

/// Marks the machine as the appliance; its image carries it.
pub(crate) const MARKER: &str = "etc/datasync/appliance";

/// What is wrong with the seed that was found at the last boot; absent if nothing is.
pub(crate) const SEED_FAULTS: &str = "etc/datasync/seed-faults";

/// The network settings that were written last, if any were.
pub(crate) fn kept(root: &Path) -> Option<NetworkSettings> {
    let text = read_small(&root.join(netfiles::KEPT))?;
    serde_json::from_str(&text).ok()
}
