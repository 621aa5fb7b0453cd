//! The memory limit of the control group that the process is in, for cgroup v1 and v2.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Values from here on are how v1 writes "no limit" (it rounds `i64::MAX` down to a page).
const NO_LIMIT_FROM: u64 = 1 << 60;

/// The smallest limit that applies to this process, in bytes; `None` where there is none or the
/// files cannot be read.
pub(crate) fn memory_limit_bytes() -> Option<u64> {
    let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_files(&membership)
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .filter_map(|text| parse_limit(&text))
        .min()
}

/// Every file that may hold a limit, from the process's own group up to the root: a limit of any
/// ancestor applies. In a container the path may be the host's, so the root is always among them.
fn limit_files(membership: &str) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (mounts, file): (&[&str], &str) = if controllers.is_empty() {
            (&["/sys/fs/cgroup", "/sys/fs/cgroup/unified"], "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            (&["/sys/fs/cgroup/memory"], "memory.limit_in_bytes")
        } else {
            continue;
        };
        for mount in mounts {
            for group in Path::new(path.trim_start_matches('/')).ancestors() {
                files.insert(Path::new(mount).join(group).join(file));
            }
        }
    }
    files
}

fn parse_limit(text: &str) -> Option<u64> {
    text.trim()
        .parse()
        .ok()
        .filter(|limit| (1..NO_LIMIT_FROM).contains(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(membership: &str) -> Vec<String> {
        limit_files(membership)
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn version_two_asks_every_ancestor() {
        assert_eq!(
            names("0::/a/b\n"),
            [
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/unified/a/b/memory.max",
                "/sys/fs/cgroup/unified/a/memory.max",
                "/sys/fs/cgroup/unified/memory.max",
            ]
        );
    }

    #[test]
    fn version_one_asks_the_memory_controller_only() {
        assert_eq!(
            names("5:cpu,cpuacct:/x\n4:memory:/box\nnonsense\n"),
            [
                "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
    }

    #[test]
    fn words_and_huge_numbers_mean_no_limit() {
        assert_eq!(parse_limit("max\n"), None);
        assert_eq!(parse_limit("9223372036854771712\n"), None);
        assert_eq!(parse_limit("0\n"), None);
        assert_eq!(parse_limit("268435456\n"), Some(268_435_456));
    }
}
