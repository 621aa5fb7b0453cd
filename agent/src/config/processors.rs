//! What is derived from the processors that the process may use.

/// Processors by the control group and the affinity of the process.
pub(crate) fn usable() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The default of `nfs.connections`: more would only wait for the processors.
pub(super) fn default_connections(processors: usize) -> usize {
    processors.saturating_mul(2).clamp(2, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_connections_for_each_processor_within_bounds() {
        let derived = [0, 1, 2, 3, 4, 64, usize::MAX].map(default_connections);
        assert_eq!(derived, [2, 2, 4, 6, 8, 8, 8]);
    }
}
