//! Settings with an entry for each name: owners as NFS version 4 tells them, addresses of EFS file
//! systems.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use datasync_nfs::{Owners, ServerName};

use super::maps::entries;
use super::validate::Check;

/// The settings that can be changed while the agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Level or filter of the log.
    pub log_level: String,
    /// The numbers of owners that NFS version 4 tells by name.
    pub owners: Owners,
}

/// The numbers of owners, as the configuration says them now. Clones share their content: it is
/// replaced when the configuration is read again, and counts for what is opened from then on.
#[derive(Debug, Clone, Default)]
pub struct SharedOwners(Arc<RwLock<Arc<Owners>>>);

impl SharedOwners {
    /// What counts for what is opened now.
    #[must_use]
    pub fn current(&self) -> Arc<Owners> {
        let owners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&owners)
    }

    /// Puts `owners` in place of what was. Whether that is something else.
    pub fn replace(&self, owners: Owners) -> bool {
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = **shared != owners;
        *shared = Arc::new(owners);
        is_other
    }
}

impl From<Owners> for SharedOwners {
    fn from(owners: Owners) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(owners))))
    }
}

/// By what they say at the moment.
impl PartialEq for SharedOwners {
    fn eq(&self, other: &Self) -> bool {
        self.current() == other.current()
    }
}

impl Eq for SharedOwners {}

impl Check {
    pub(super) fn owners(&mut self) -> Owners {
        Owners {
            users: self.optional("nfs.users", numbers).unwrap_or_default(),
            groups: self.optional("nfs.groups", numbers).unwrap_or_default(),
        }
    }

    pub(super) fn efs_addresses(&mut self) -> BTreeMap<String, ServerName> {
        let found = self.optional("efs.addresses", addresses);
        found.unwrap_or_default()
    }
}

fn numbers(text: &str) -> Result<BTreeMap<String, u32>, String> {
    entries(text, |name, number| {
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!(
                "{name:?} is a number already: it stands for itself"
            ));
        }
        number.parse().map_err(|_| {
            format!(
                "{name:?}: {number:?} is not a number from 0 to {}",
                u32::MAX
            )
        })
    })
}

fn addresses(text: &str) -> Result<BTreeMap<String, ServerName>, String> {
    entries(text, |id, address| {
        let digits = id.strip_prefix("fs-").unwrap_or_default();
        let is_id = (8..=40).contains(&digits.len())
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            return Err(format!(
                "{id:?} is not the id of a file system, such as fs-0123abcd"
            ));
        }
        ServerName::parse(address).map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::maps::ENTRIES_MAX;
    use super::*;
    use crate::config::{Layers, Overrides};

    #[test]
    fn names_get_numbers_from_flags_and_tables() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("agent.toml");
        let text = "[nfs.users]\n\"anna@example.com\" = 1000\nbert = \"1001\"\n\
                    [nfs.groups]\n\"Domain Users@example.com\" = 513\n\
                    [efs.addresses]\nfs-0123abcd = \"127.0.0.1:12049\"\n";
        std::fs::write(&file, text).unwrap();
        let layers = Layers::read(Some(&file), [], Overrides::default()).unwrap();
        let settings = layers.validate_process("warn").unwrap();
        let owners = settings.nfs.owners.current();
        assert_eq!(owners.users["anna@example.com"], 1000);
        assert_eq!(owners.users["bert"], 1001);
        assert_eq!(owners.groups["Domain Users@example.com"], 513);
        let address = &settings.efs_addresses["fs-0123abcd"];
        assert_eq!(
            (address.host.as_str(), address.port),
            ("127.0.0.1", Some(12049))
        );
        let flags = Overrides::default()
            .set("nfs.users", Some("carl=7, dora@x=8"))
            .unwrap();
        let layers = Layers::read(Some(&file), [], flags).unwrap();
        let settings = layers.validate_process("warn").unwrap();
        let users = &settings.nfs.owners.current().users;
        assert_eq!(users.len(), 2, "the flag in place of the table");
        assert_eq!((users["carl"], users["dora@x"]), (7, 8));
    }

    #[test]
    fn what_makes_no_map_is_a_fault_with_its_reason() {
        for (member, text, reason) in [
            ("nfs.users", "anna", "NAME=VALUE"),
            ("nfs.users", "=7", "NAME=VALUE"),
            ("nfs.users", "anna=-1", "from 0 to 4294967295"),
            ("nfs.groups", "staff=4294967296", "from 0 to 4294967295"),
            ("nfs.groups", "50=51", "stands for itself"),
            ("nfs.users", "anna=7,anna=8", "twice"),
            ("efs.addresses", "fs-1=host", "id of a file system"),
            ("efs.addresses", "fs-0123abcd=", "names no server"),
        ] {
            let flags = Overrides::default().set(member, Some(text)).unwrap();
            let layers = Layers::read(None, [], flags).unwrap();
            let faults = layers.validate_process("warn").unwrap_err().0.join("\n");
            assert!(
                faults.contains(reason) && faults.contains(member),
                "{faults}"
            );
        }
        let many: Vec<String> = (0..=ENTRIES_MAX).map(|n| format!("u{n}=1")).collect();
        assert!(numbers(&many.join(",")).unwrap_err().contains("4096"));
        let table = "[nfs.users]\n\"a\" = [1]\n\"b,c\" = 1\n\"d\\ne\" = 1\n";
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("agent.toml");
        std::fs::write(&file, table).unwrap();
        let layers = Layers::read(Some(&file), [], Overrides::default()).unwrap();
        let faults = layers.validate_process("warn").unwrap_err().0.join("\n");
        assert_eq!(faults.matches("nfs.users").count(), 3, "{faults}");
    }

    proptest! {
        #[test]
        fn every_map_is_read_as_it_is_written(
            map in prop::collection::btree_map("[a-z@. =]{0,8}[a-z]", any::<u32>(), 0..20),
        ) {
            let map: BTreeMap<String, u32> = map
                .into_iter()
                .map(|(name, number)| (name.trim().to_owned(), number))
                .collect();
            let written: Vec<String> =
                map.iter().map(|(name, number)| format!("{name}={number}")).collect();
            prop_assert_eq!(numbers(&written.join(",")).unwrap(), map.clone());
            prop_assert_eq!(numbers(&written.join("\n")).unwrap(), map);
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,40}") {
            numbers(&text).ok();
            addresses(&text).ok();
        }
    }
}
