//! Whether the machine is large enough, and well.

use datasync_proto::HostFacts;

use super::super::page::{Grade, Line};
use super::storage::offset;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// What an agent needs at least, and what it should have: what the kernel leaves of 512 MiB and of 1 GiB.
const MEMORY_MIN: u64 = 400 * MIB;
const MEMORY_GOOD: u64 = 960 * MIB;
/// What a process takes besides `memory_target`.
const BESIDES: u64 = 64 * MIB;
/// What the smallest execution needs, and what one of millions of items should have.
const DISK_MIN: u64 = 64 * MIB;
const DISK_GOOD: u64 = 2 * GIB;
/// Stores refuse signatures that are 15 minutes off.
const SKEW_FAIL: u64 = 900;
const SKEW_WARNING: u64 = 60;

/// What the check looks at.
#[derive(Debug, Clone)]
pub(in super::super) struct Found {
    pub(in super::super) host: HostFacts,
    /// Bytes; `None` if the configuration cannot be used.
    pub(in super::super) memory_target: Option<u64>,
    /// Whether the system says that its clock is synchronised; `None` if it says nothing.
    pub(in super::super) is_synchronised: Option<bool>,
    /// This machine's clock less control's, in seconds.
    pub(in super::super) ahead_of_control: Option<i64>,
    /// What others can connect to; `None` if it cannot be told.
    pub(in super::super) listening: Option<Vec<String>>,
}

pub(in super::super) fn lines(found: &Found) -> Vec<Line> {
    let host = &found.host;
    vec![
        processor(host),
        memory(host),
        target(host, found.memory_target),
        disk(host),
        clock(found),
        Line::plain(""),
        Line::plain(format!(
            "{}, kernel {}",
            host.operating_system, host.kernel_version
        )),
        Line::plain(format!(
            "Up for {} h {} min",
            host.uptime_seconds / 3600,
            host.uptime_seconds / 60 % 60
        )),
        Line::plain(match &found.listening {
            None => "Listening: cannot be told".to_owned(),
            Some(none) if none.is_empty() => "Listening: nothing".to_owned(),
            Some(all) => format!("Listening: {}", all.join(", ")),
        }),
    ]
}

fn processor(host: &HostFacts) -> Line {
    let (count, load) = (host.cpu_count, host.load_one);
    let text = format!("CPU: {count} processor(s), load {load:.2} over the last minute");
    match f64::from(count) {
        0.0 => Line::graded(Grade::Warning, "CPU: cannot be told"),
        processors if load > 2.0 * processors => {
            Line::graded(Grade::Warning, format!("{text}: more than they can do"))
        }
        _ => Line::ok(text),
    }
}

/// The limit of the control group counts where there is one.
fn usable(host: &HostFacts) -> u64 {
    match host.memory_limit_bytes {
        0 => host.memory_total_bytes,
        limit => limit.min(host.memory_total_bytes),
    }
}

fn memory(host: &HostFacts) -> Line {
    let total = usable(host);
    let text = format!(
        "Memory: {} MiB, {} MiB available",
        total / MIB,
        host.memory_available_bytes / MIB
    );
    match total {
        0 => Line::graded(Grade::Warning, "Memory: cannot be told"),
        1..MEMORY_MIN => Line::fail(format!("{text}: the agent needs 512 MiB")),
        MEMORY_MIN..MEMORY_GOOD => Line::graded(Grade::Warning, format!("{text}: 1 GiB is better")),
        _ => Line::ok(text),
    }
}

fn target(host: &HostFacts, target: Option<u64>) -> Line {
    let Some(target) = target else {
        return Line::graded(
            Grade::Warning,
            "memory_target: the agent's configuration cannot be used",
        );
    };
    let text = format!("memory_target: {} MiB", target / MIB);
    if target + BESIDES > usable(host) {
        return Line::fail(format!("{text}: does not fit into the memory; lower it"));
    }
    // What the agent holds already is not available any more.
    let left = host.memory_available_bytes + target;
    if target + BESIDES > left {
        return Line::graded(
            Grade::Warning,
            format!("{text}: other programs use the memory"),
        );
    }
    Line::ok(text)
}

fn disk(host: &HostFacts) -> Line {
    let (free, total) = (host.state_disk_available_bytes, host.state_disk_total_bytes);
    let text = format!("State disk: {} MiB of {} MiB free", free / MIB, total / MIB);
    match free {
        _ if total == 0 => Line::graded(Grade::Warning, "State disk: cannot be told"),
        0..DISK_MIN => Line::fail(format!("{text}: no execution can begin")),
        DISK_MIN..DISK_GOOD => Line::graded(
            Grade::Warning,
            format!("{text}: enough for some millions of items only"),
        ),
        _ => Line::ok(text),
    }
}

fn clock(found: &Found) -> Line {
    let synchronised = match found.is_synchronised {
        Some(true) => ", synchronised",
        Some(false) => ", not synchronised",
        None => "",
    };
    let Some(ahead) = found.ahead_of_control else {
        let grade = match found.is_synchronised {
            Some(true) => Grade::Ok,
            Some(false) | None => Grade::Warning,
        };
        let text = format!("Clock: no session with control to compare it{synchronised}");
        return Line::graded(grade, text);
    };
    let grade = match ahead.unsigned_abs() {
        SKEW_FAIL.. => Grade::Fail,
        SKEW_WARNING.. => Grade::Warning,
        _ if found.is_synchronised == Some(false) => Grade::Warning,
        _ => Grade::Ok,
    };
    Line::graded(
        grade,
        format!("Clock: {}{synchronised}", offset(ahead, "control's")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Found {
        Found {
            host: HostFacts {
                cpu_count: 2,
                load_one: 0.5,
                memory_total_bytes: 2 * GIB,
                memory_available_bytes: GIB,
                state_disk_total_bytes: 20 * GIB,
                state_disk_available_bytes: 10 * GIB,
                ..HostFacts::default()
            },
            memory_target: Some(128 * MIB),
            is_synchronised: Some(true),
            ahead_of_control: Some(0),
            listening: Some(Vec::new()),
        }
    }

    fn grades(change: impl FnOnce(&mut Found)) -> Vec<Grade> {
        let mut found = good();
        change(&mut found);
        lines(&found).iter().filter_map(|line| line.grade).collect()
    }

    #[test]
    fn each_check_has_its_bounds() {
        use Grade::{Fail, Ok, Warning};
        let at = |index: usize, grade: Grade| {
            let mut all = vec![Ok; 5];
            all[index] = grade;
            all
        };
        assert_eq!(grades(|_| ()), [Ok; 5]);
        assert_eq!(grades(|f| f.host.load_one = 4.5), at(0, Warning));
        assert_eq!(
            grades(|f| f.host.memory_limit_bytes = 512 * MIB),
            at(1, Warning)
        );
        assert_eq!(
            grades(|f| f.host.memory_limit_bytes = 300 * MIB),
            at(1, Fail)
        );
        assert_eq!(grades(|f| f.memory_target = Some(2 * GIB)), at(2, Fail));
        assert_eq!(
            grades(|f| f.host.memory_available_bytes = 32 * MIB),
            at(2, Warning)
        );
        assert_eq!(grades(|f| f.memory_target = None), at(2, Warning));
        assert_eq!(
            grades(|f| f.host.state_disk_available_bytes = GIB),
            at(3, Warning)
        );
        assert_eq!(
            grades(|f| f.host.state_disk_available_bytes = MIB),
            at(3, Fail)
        );
        assert_eq!(grades(|f| f.ahead_of_control = Some(-61)), at(4, Warning));
        assert_eq!(grades(|f| f.ahead_of_control = Some(901)), at(4, Fail));
        assert_eq!(grades(|f| f.is_synchronised = Some(false)), at(4, Warning));
        assert_eq!(grades(|f| f.ahead_of_control = None), [Ok; 5]);
        let unknown = |f: &mut Found| {
            f.ahead_of_control = None;
            f.is_synchronised = None;
        };
        assert_eq!(grades(unknown), at(4, Warning));
    }
}
