//! The appliance's first boot: settings that its operator gave to the hypervisor become files of the
//! machine.
//!
//! A seed is carried out once, whole or not at all, and nothing in it is executed. Whatever is wrong
//! with it, the machine boots: the console says what it is.

mod found;
mod netconfig;
mod nocloud;
mod ovf;
mod plan;
mod seed;
mod vmware;
mod yaml;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::appliance::{self, MachineFile, SEED_FAULTS};
use plan::Machine;
use seed::Seed;

/// Names the seed that was carried out last.
const DONE: &str = "etc/datasync/firstboot.json";
/// For the drivers of network interfaces that are named by their hardware address.
const INTERFACES_WAIT: Duration = Duration::from_secs(5);
const INTERFACES_PAUSE: Duration = Duration::from_millis(100);

/// Where [`firstboot`] works.
#[derive(Debug, Clone)]
pub struct FirstbootSettings {
    /// Where the machine's files are: `/`.
    pub root: PathBuf,
    /// A directory with the files of a seed, in place of the machine's disks.
    pub seed: Option<PathBuf>,
}

/// What became of the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firstboot {
    /// There is none.
    NoSeed,
    /// It was carried out before.
    DoneBefore {
        /// The seed's name.
        instance: String,
    },
    /// It was carried out now.
    Done {
        /// The seed's name.
        instance: String,
        /// How many files were written.
        files: usize,
    },
}

/// A seed that cannot be used. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the seed ({place}) cannot be used: {}", .faults.join("; "))]
pub struct SeedFaults {
    /// Where it is.
    pub place: String,
    /// Everything that is wrong with it. No values: some are secret.
    pub faults: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    instance: String,
}

/// Looks for a seed and carries it out, unless it was before. What is wrong with it is left for the
/// console, too.
///
/// # Errors
/// [`SeedFaults`]
pub fn firstboot(settings: &FirstbootSettings) -> Result<Firstboot, SeedFaults> {
    let result = carry_out(settings);
    let path = settings.root.join(SEED_FAULTS);
    // Where this file cannot be written the others could not be either, and that is told.
    match &result {
        Err(faults) => fs::write(&path, format!("{faults}\n")).ok(),
        Ok(_) => fs::remove_file(&path).ok(),
    };
    result
}

fn carry_out(settings: &FirstbootSettings) -> Result<Firstboot, SeedFaults> {
    let root = &settings.root;
    let none = || "none".to_owned();
    let refused = |place: &str, faults| SeedFaults {
        place: place.to_owned(),
        faults,
    };
    let found = match &settings.seed {
        Some(directory) => found::in_directory(directory)
            .map(|found| found.map(|found| (directory.display().to_string(), found)))
            .map_err(|error| error.to_string()),
        None => found::find(root),
    };
    let Some((place, found)) = found.map_err(|fault| refused(&none(), vec![fault]))? else {
        return Ok(Firstboot::NoSeed);
    };
    let seed = found.read().map_err(|faults| refused(&place, faults))?;
    let instance = seed.instance.clone().unwrap_or_else(|| found.digest());
    if done_before(root).as_ref() == Some(&instance) {
        return Ok(Firstboot::DoneBefore { instance });
    }
    write(root, &seed, &instance)
        .map(|files| Firstboot::Done { instance, files })
        .map_err(|faults| refused(&place, faults))
}

fn done_before(root: &Path) -> Option<String> {
    let text = appliance::read_small(&root.join(DONE))?;
    let record: Record = serde_json::from_str(&text).ok()?;
    Some(record.instance)
}

fn write(root: &Path, seed: &Seed, instance: &str) -> Result<usize, Vec<String>> {
    let mut files = plan::plan(seed, &machine(root, seed))?;
    let count = files.len();
    let record = Record {
        instance: instance.to_owned(),
    };
    let one = |error: io::Error| vec![error.to_string()];
    files.push(MachineFile {
        path: DONE,
        content: serde_json::to_string(&record).map_err(|e| one(e.into()))? + "\n",
        mode: 0o600,
        group: None,
    });
    appliance::replace_all(root, &files).map_err(|failed| failed.told())?;
    if let (Some(name), true) = (&seed.hostname, root == Path::new("/")) {
        // For this boot; the file is for the next ones.
        fs::write("/proc/sys/kernel/hostname", name).map_err(one)?;
    }
    Ok(count)
}

fn machine(root: &Path, seed: &Seed) -> Machine {
    let mac = seed.interface.as_ref().and_then(|one| one.mac.clone());
    Machine {
        before: appliance::kept(root),
        agent_before: appliance::read_small(&root.join(appliance::AGENT)),
        interfaces: interfaces(root, mac.as_deref()),
        agent_group: appliance::agent_group(root),
    }
}

/// Names and hardware addresses, without the loopback; waits a little for one that is looked for.
fn interfaces(root: &Path, wanted: Option<&str>) -> Vec<(String, String)> {
    let mut waited = Duration::ZERO;
    loop {
        let there = interfaces_now(root);
        let is_there = |mac: &str| there.iter().any(|(_, one)| one.eq_ignore_ascii_case(mac));
        if waited >= INTERFACES_WAIT || wanted.is_none_or(is_there) {
            return there;
        }
        std::thread::sleep(INTERFACES_PAUSE);
        waited += INTERFACES_PAUSE;
    }
}

fn interfaces_now(root: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(root.join("sys/class/net")) else {
        return Vec::new();
    };
    let mut all: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let address = fs::read_to_string(entry.path().join("address")).ok()?;
            Some((name, address.trim().to_owned()))
        })
        .filter(|(name, _)| name != "lo")
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        scratch: tempfile::TempDir,
        settings: FirstbootSettings,
    }

    impl Place {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let settings = FirstbootSettings {
                root: scratch.path().join("root"),
                seed: Some(scratch.path().join("seed")),
            };
            fs::create_dir_all(settings.root.join("etc/datasync")).unwrap();
            fs::create_dir_all(scratch.path().join("seed")).unwrap();
            Self { scratch, settings }
        }

        fn give(&self, name: &str, content: &str) {
            fs::write(self.scratch.path().join("seed").join(name), content).unwrap();
        }

        fn file(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.settings.root.join(path)).ok()
        }
    }

    fn user_data(control: &str) -> String {
        format!(
            "#cloud-config\ndatasync:\n  control: {control}\n  control_fingerprint: '{}'\n",
            "ab".repeat(32)
        )
    }

    #[test]
    fn a_seed_is_carried_out_once_and_another_one_again() {
        let place = Place::new();
        assert_eq!(firstboot(&place.settings), Ok(Firstboot::NoSeed));
        place.give("meta-data", "instance-id: first\n");
        place.give("user-data", &user_data("one:9443"));
        let instance = "first".to_owned();
        let done = firstboot(&place.settings).unwrap();
        assert_eq!(
            done,
            Firstboot::Done {
                instance: instance.clone(),
                files: 1
            }
        );
        assert!(place.file(appliance::AGENT).unwrap().contains("one:9443"));
        // Same name: what the operator changed since then stays.
        place.give("user-data", &user_data("two:9443"));
        assert_eq!(
            firstboot(&place.settings),
            Ok(Firstboot::DoneBefore { instance })
        );
        assert!(place.file(appliance::AGENT).unwrap().contains("one:9443"));
        place.give("meta-data", "instance-id: second\n");
        assert!(matches!(
            firstboot(&place.settings),
            Ok(Firstboot::Done { .. })
        ));
        assert!(place.file(appliance::AGENT).unwrap().contains("two:9443"));
    }

    #[test]
    fn nothing_of_a_bad_seed_is_used_and_the_console_can_say_why() {
        let place = Place::new();
        place.give("meta-data", "instance-id: i\nlocal-hostname: good-name\n");
        place.give("user-data", &user_data("nonsense"));
        let faults = firstboot(&place.settings).unwrap_err().to_string();
        assert!(faults.contains("control (seed): \"nonsense\""), "{faults}");
        assert_eq!(place.file("etc/hostname"), None);
        assert_eq!(place.file(appliance::AGENT), None);
        assert!(place.file(SEED_FAULTS).unwrap().contains("nonsense"));
        // The same seed, corrected, is carried out.
        place.give("user-data", &user_data("good:9443"));
        assert!(matches!(
            firstboot(&place.settings),
            Ok(Firstboot::Done { .. })
        ));
        assert_eq!(place.file(SEED_FAULTS), None);
        assert_eq!(place.file("etc/hostname").as_deref(), Some("good-name\n"));
    }

    #[test]
    fn an_interface_is_found_by_its_hardware_address() {
        let place = Place::new();
        let net = place.settings.root.join("sys/class/net");
        for (name, address) in [("lo", "00:00:00:00:00:00"), ("eth0", "52:54:00:12:34:56")] {
            fs::create_dir_all(net.join(name)).unwrap();
            fs::write(net.join(name).join("address"), format!("{address}\n")).unwrap();
        }
        let there = vec![("eth0".to_owned(), "52:54:00:12:34:56".to_owned())];
        assert_eq!(
            interfaces(&place.settings.root, Some("52:54:00:12:34:56")),
            there
        );
    }
}
