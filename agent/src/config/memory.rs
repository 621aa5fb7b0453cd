//! The default of `memory_target`.

/// What one execution needs at least: an eighth of it is one part of 8 MiB.
pub(super) const PER_EXECUTION_MIN: u64 = 64 << 20;
/// More does not make a transfer faster.
const DEFAULT_MAX: u64 = 256 << 20;

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
