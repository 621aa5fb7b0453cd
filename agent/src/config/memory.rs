//! The default of `memory_target`, and whether there is room for it.

/// What one execution needs at least: an eighth of it is one part of 8 MiB.
pub(super) const PER_EXECUTION_MIN: u64 = 64 << 20;
/// More does not make a transfer faster.
const DEFAULT_MAX: u64 = 256 << 20;

/// What the process takes besides, at the very least.
const BESIDES_MIN: u64 = 32 << 20;

/// Whether `target` fits into the control group's `limit`, both in bytes. A process that does not is
/// killed by the kernel in the middle of its work.
pub(super) fn check_room(target: u64, limit: Option<u64>) -> Result<(), String> {
    let needed = target.saturating_add(BESIDES_MIN);
    match limit {
        Some(limit) if limit < needed => Err(format!(
            "the control group of the process has {} MiB of memory, and with a memory_target of {} MiB \
             the agent needs {} MiB at least: raise the group's limit{}",
            limit >> 20,
            target >> 20,
            needed >> 20,
            if target > PER_EXECUTION_MIN {
                ", or lower memory_target"
            } else {
                ""
            }
        )),
        _ => Ok(()),
    }
}

/// A quarter of what the process may use, within bounds. `limit` is the control group's, `total`
/// the machine's memory, both in bytes.
pub(super) fn default_target(limit: Option<u64>, total: Option<u64>) -> u64 {
    match limit.into_iter().chain(total).min() {
        Some(usable) => (usable / 4).clamp(PER_EXECUTION_MIN, DEFAULT_MAX),
        None => DEFAULT_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_group_that_is_too_small_is_refused_with_what_it_takes() {
        assert_eq!(check_room(64 * MIB, None), Ok(()));
        assert_eq!(check_room(64 * MIB, Some(96 * MIB)), Ok(()));
        let refused = check_room(64 * MIB, Some(95 * MIB)).unwrap_err();
        assert!(refused.contains("has 95 MiB"), "{refused}");
        assert!(
            refused.ends_with("needs 96 MiB at least: raise the group's limit"),
            "{refused}"
        );
        let refused = check_room(256 * MIB, Some(256 * MIB)).unwrap_err();
        assert!(refused.ends_with("or lower memory_target"), "{refused}");
        // The least machine.
        let usable = Some(512 * MIB);
        assert_eq!(check_room(default_target(usable, None), usable), Ok(()));
    }

    #[test]
    fn the_default_is_a_quarter_within_bounds() {
        for (limit, total, target) in [
            (Some(512 * MIB), Some(65_536 * MIB), 128 * MIB),
            (Some(4096 * MIB), Some(65_536 * MIB), 256 * MIB),
            (None, Some(800 * MIB), 200 * MIB),
            (Some(65_536 * MIB), Some(400 * MIB), 100 * MIB),
            (Some(8 * MIB), None, 64 * MIB),
            (Some(200 * MIB), None, 64 * MIB),
            (None, None, 256 * MIB),
        ] {
            assert_eq!(default_target(limit, total), target, "{limit:?} {total:?}");
        }
    }
}
