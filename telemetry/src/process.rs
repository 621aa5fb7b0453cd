//! What the system says of this process. What it does not say is `None`.

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Memory of the process that is in RAM, in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    parse_resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Time of processors that the process has used, in seconds.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let used = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime));
    used.unwrap_or_default().as_secs_f64()
}

/// What is free for this user on the file system of `path`, and its size, in bytes.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<(u64, u64)> {
    let facts = rustix::fs::statvfs(path).ok()?;
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    Some((free, facts.f_blocks.saturating_mul(facts.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_described() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(cpu_seconds() >= 0.0);
        let (free, size) = free_bytes(Path::new("/")).unwrap();
        assert!(size > 0 && free <= size);
        assert_eq!(free_bytes(Path::new("/there/is/no/such/path")), None);
    }

    #[test]
    fn memory_is_told_in_kib() {
        let status = "VmPeak:\t    9 kB\nVmRSS:\t    2468 kB\nThreads: 1\n";
        assert_eq!(parse_resident(status), Some(2468 * 1024));
        assert_eq!(parse_resident("VmRSS: much"), None);
        assert_eq!(parse_resident(""), None);
    }
}
