//! The machine where it is the appliance: its settings outside of the agent, which the local console
//! and the first boot write.

mod agent;
mod files;
mod netfiles;
mod network;
mod replacing;

use std::path::Path;

pub(crate) use agent::{
    AGENT, ControlSettings, agent_file, configured_log_level, control_file, log_level_file,
};
pub(crate) use files::{MachineFile, read_small, read_virtual};
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

/// The user that the agent runs as.
const AGENT_USER: &str = "datasync-agent";

/// The network settings that were written last, if any were.
pub(crate) fn kept(root: &Path) -> Option<NetworkSettings> {
    let text = read_small(&root.join(netfiles::KEPT))?;
    serde_json::from_str(&text).ok()
}

/// The group of the agent's user, by `/etc/passwd`.
pub(crate) fn agent_group(root: &Path) -> Option<u32> {
    let users = read_small(&root.join("etc/passwd"))?;
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(AGENT_USER))?;
    line.split(':').nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_group_is_that_of_its_user() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(agent_group(scratch.path()), None);
        std::fs::create_dir(scratch.path().join("etc")).unwrap();
        let passwd = "root:x:0:0::/:/bin/sh\ndatasync-agent:x:998:997::/:/bin/false\n";
        std::fs::write(scratch.path().join("etc/passwd"), passwd).unwrap();
        assert_eq!(agent_group(scratch.path()), Some(997));
    }
}
