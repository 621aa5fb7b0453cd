//! What the agent says of the machine at its start.

use crate::config::{Config, processors};
use crate::{cgroup, host};

/// What the agent makes of the machine: how much of it it takes, and from what that is derived.
pub(crate) fn tell_resources(config: &Config) {
    let process = &config.process;
    tracing::info!(
        version = crate::VERSION,
        state_dir = %config.state_dir.display(),
        memory_target_bytes = process.memory_target_bytes,
        memory_limit_bytes = cgroup::memory_limit_bytes(),
        memory_total_bytes = host::memory_total_bytes(),
        processors = processors::usable(),
        executions_max = config.executions_max,
        nfs_connections = process.nfs.connections,
        nfs_requests_max = process.nfs.limits.in_flight_max,
        s3_requests_max = process.s3.limits.in_flight_max,
        state_disk_max_bytes = process.state_disk_max_bytes,
        event = "agent.started",
        "agent started"
    );
}
