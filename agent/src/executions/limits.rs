//! What one execution may use, and when it ends or begins again.

use std::num::NonZeroU64;
use std::time::Duration;

use datasync_transfer::SharedRate;

use crate::config::ProcessSettings;

/// The limits of each execution.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(super) memory_target_bytes: u64,
    /// What its files may take of the disk; `None`: what is free but for a reserve.
    pub(super) state_disk_max_bytes: Option<u64>,
    /// So many items that fail end it.
    pub(super) failures_max: Option<NonZeroU64>,
    /// If nothing moves for so long, it is begun again from its journal.
    pub(super) stalled_after: Option<Duration>,
    /// A bandwidth that all executions keep to together, on top of their own.
    pub(super) shared_rate: Option<SharedRate>,
}

impl Limits {
    /// The same share of memory and disk for each of `executions` at a time.
    pub(crate) fn shared_by(
        executions: usize,
        settings: &ProcessSettings,
        shared_rate: Option<SharedRate>,
    ) -> Self {
        let executions = u64::try_from(executions).unwrap_or(u64::MAX).max(1);
        Self {
            memory_target_bytes: settings.memory_target_bytes / executions,
            state_disk_max_bytes: settings
                .state_disk_max_bytes
                .map(|bytes| bytes / executions),
            failures_max: settings.failures_max,
            stalled_after: settings.stalled_after,
            shared_rate,
        }
    }
}
