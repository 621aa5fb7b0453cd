//! Flags that every process takes that transfers.

use clap::Args;

use super::{ConfigFaults, Overrides};

/// Memory, clients and logs; all values are text until they are validated.
#[derive(Debug, Clone, Default, Args)]
pub struct ProcessFlags {
    /// Bytes of data held in memory, such as 256MiB [default: a quarter of the memory limit, at
    /// most 256MiB]
    #[arg(long)]
    memory_target: Option<String>,
    /// TCP connections per NFS server [default: 4]
    #[arg(long)]
    nfs_connections: Option<String>,
    /// Port of the NFS servers' MOUNT service, tried before the NFS port and the portmapper's answer
    /// [default: only those]
    #[arg(long)]
    nfs_mount_port: Option<String>,
    /// Source ports below 1024: prefer, never, require [default: prefer]
    #[arg(long)]
    nfs_privileged_ports: Option<String>,
    /// Requests in flight per NFS server, 1 to 320 [default: as many as it sustains]
    #[arg(long)]
    nfs_requests_max: Option<String>,
    /// Requests per second to an NFS server; 0 for no limit [default: 0]
    #[arg(long)]
    nfs_operations_per_second: Option<String>,
    /// Largest object of the store, such as 5TiB [default: the store's known limit]
    #[arg(long)]
    s3_object_max: Option<String>,
    /// Uploads and other requests in flight per store, 1 to 320 [default: as many as it sustains]
    #[arg(long)]
    s3_requests_max: Option<String>,
    /// Requests per second to a store; 0 for no limit [default: 0]
    #[arg(long)]
    s3_requests_per_second: Option<String>,
    /// Items that may fail before an execution ends; 0 for no limit [default: 1000000]
    #[arg(long)]
    failures_max: Option<String>,
    /// Seconds without any progress after which an execution is begun again from its journal, from
    /// 900; 0 for never [default: 900]
    #[arg(long)]
    stalled_after_seconds: Option<String>,
    /// error, warn, info, debug, trace, or filter directives [default: info; warn for copy]
    #[arg(long)]
    log_level: Option<String>,
    /// text or json [default: text]
    #[arg(long)]
    log_format: Option<String>,
}

impl ProcessFlags {
    /// Adds these flags to `overrides`.
    ///
    /// # Errors
    /// As [`Overrides::set`].
    pub fn lay_over(&self, overrides: Overrides) -> Result<Overrides, ConfigFaults> {
        overrides
            .set("memory_target", self.memory_target.as_deref())?
            .set("nfs.connections", self.nfs_connections.as_deref())?
            .set("nfs.mount_port", self.nfs_mount_port.as_deref())?
            .set("nfs.privileged_ports", self.nfs_privileged_ports.as_deref())?
            .set("nfs.requests_max", self.nfs_requests_max.as_deref())?
            .set(
                "nfs.operations_per_second",
                self.nfs_operations_per_second.as_deref(),
            )?
            .set("s3.object_max", self.s3_object_max.as_deref())?
            .set("s3.requests_max", self.s3_requests_max.as_deref())?
            .set(
                "s3.requests_per_second",
                self.s3_requests_per_second.as_deref(),
            )?
            .set("failures_max", self.failures_max.as_deref())?
            .set(
                "stalled_after_seconds",
                self.stalled_after_seconds.as_deref(),
            )?
            .set("log.level", self.log_level.as_deref())?
            .set("log.format", self.log_format.as_deref())
    }
}
