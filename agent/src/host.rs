//! Facts about the machine, for heartbeats.

use std::path::{Path, PathBuf};
use std::time::Duration;

use datasync_proto::HostFacts;
use rustix::time::{ClockId, clock_gettime};
use sysinfo::{
    DiskRefreshKind, Disks, MemoryRefreshKind, Networks, Pid, ProcessRefreshKind,
    ProcessesToUpdate, System,
};

use crate::cgroup;

/// The machine's memory in bytes, where it can be told.
pub(crate) fn memory_total_bytes() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    Some(system.total_memory()).filter(|bytes| *bytes > 0)
}

/// CPU time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The host name, or the name given in the configuration.
pub(crate) fn host_name(configured: Option<&str>) -> String {
    match configured {
        Some(name) => name.to_owned(),
        None => System::host_name().unwrap_or_default(),
    }
}

/// Keeps what the facts are computed from: CPU use is the difference between two looks.
#[derive(Debug)]
pub(crate) struct HostWatch {
    name: String,
    state_dir: PathBuf,
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
}

impl HostWatch {
    pub(crate) fn new(name: String, state_dir: &Path) -> Self {
        let disk = DiskRefreshKind::nothing().with_storage();
        Self {
            name,
            state_dir: std::fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned()),
            system: System::new().ok(),
            disks: Disks::new_with_refreshed_list_specifics(disk).ok(),
            networks: Networks::new_with_refreshed_list().ok(),
        }
    }

    /// Looks now. What cannot be told is 0 or empty. Reads files below `/proc` and `/sys`.
    pub(crate) fn look(&mut self) -> HostFacts {
        let mut facts = HostFacts {
            hostname: self.name.clone(),
            operating_system: System::long_os_version().unwrap_or_default(),
            kernel_version: System::kernel_version().unwrap_or_default(),
            load_one: System::load_average().map_or(0.0, |load| load.one),
            memory_limit_bytes: cgroup::memory_limit_bytes().unwrap_or(0),
            uptime_seconds: System::uptime().unwrap_or(0),
            ..HostFacts::default()
        };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            facts.cpu_count = u32::try_from(system.cpus().len()).unwrap_or(u32::MAX);
            facts.cpu_percent = f64::from(system.global_cpu_usage());
            facts.memory_total_bytes = system.total_memory();
            facts.memory_available_bytes = system.available_memory();
            let own = Pid::from_u32(std::process::id());
            system.refresh_processes_specifics(
                ProcessesToUpdate::Some(&[own]),
                false,
                ProcessRefreshKind::nothing().with_memory(),
            );
            facts.process_resident_bytes = system.process(own).map_or(0, sysinfo::Process::memory);
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            for (name, network) in networks.iter() {
                if name != "lo" {
                    facts.network_received_bytes += network.total_received();
                    facts.network_sent_bytes += network.total_transmitted();
                }
            }
        }
        if let Some(disks) = &mut self.disks {
            disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage());
            let holding = disks
                .iter()
                .filter(|disk| self.state_dir.starts_with(disk.mount_point()))
                .max_by_key(|disk| disk.mount_point().as_os_str().len());
            if let Some(disk) = holding {
                facts.state_disk_total_bytes = disk.total_space();
                facts.state_disk_available_bytes = disk.available_space();
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_uses_its_processor() {
        let before = cpu_time();
        let mut sum = 0u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(before > Duration::ZERO && cpu_time() > before);
    }

    #[test]
    fn facts_describe_this_machine() {
        let mut watch = HostWatch::new("box".to_owned(), Path::new("/"));
        let facts = watch.look();
        assert_eq!(facts.hostname, "box");
        assert!(facts.cpu_count > 0);
        assert!(facts.memory_total_bytes >= facts.memory_available_bytes);
        assert!(facts.process_resident_bytes > 0);
        assert!(facts.uptime_seconds > 0);
        assert!(!facts.kernel_version.is_empty());
    }
}
