//! Flags that every process takes that transfers.

use std::fmt;

use clap::Args;

use super::{ConfigFaults, Overrides};

/// Memory, disk, clients and logs; all values are text until they are validated.
#[derive(Clone, Default, Args)]
pub struct ProcessFlags {
    /// Bytes of data held in memory, such as 256MiB [default: a quarter of the memory limit, at
    /// most 256MiB]
    #[arg(long)]
    memory_target: Option<String>,
    /// Bytes of disk space that executions may take in the state directory, such as 20GiB [default:
    /// what is free, but for a twentieth of the file system, at most 1GiB]
    #[arg(long)]
    state_disk_max: Option<String>,
    /// TCP connections per NFS server [default: 2 per processor, 2 to 8]
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
    /// Numbers of users that NFS version 4 tells by name: NAME=UID,NAME@DOMAIN=UID,… [default: none]
    #[arg(long, value_name = "NAMES")]
    nfs_users: Option<String>,
    /// Numbers of groups that NFS version 4 tells by name: NAME=GID,… [default: none]
    #[arg(long, value_name = "NAMES")]
    nfs_groups: Option<String>,
    /// Addresses of EFS file systems: fs-…=HOST[:PORT],… [default: the names that AWS gives them]
    #[arg(long, value_name = "ADDRESSES")]
    efs_addresses: Option<String>,
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
    /// Server-side encryption of objects: AES256, aws:kms, aws:kms:dsse [default: the bucket's]
    #[arg(long)]
    s3_server_side_encryption: Option<String>,
    /// Key for aws:kms and aws:kms:dsse, by id or ARN [default: the bucket's, or aws/s3]
    #[arg(long)]
    s3_kms_key_id: Option<String>,
    /// Whether aws:kms uses a bucket key: true or false [default: as the bucket says]
    #[arg(long)]
    s3_bucket_key: Option<String>,
    /// ACL of objects: none, bucket-owner-full-control [default: none]
    #[arg(long)]
    s3_acl: Option<String>,
    /// Whether to pay for requests to buckets with Requester Pays: true or false [default: false]
    #[arg(long)]
    s3_requester_pays: Option<String>,
    /// Proxy for TLS connections, http://HOST:PORT; variables HTTPS_PROXY, ALL_PROXY. Flags can be
    /// seen by every user of the machine: a password goes into the variable [default: none]
    #[arg(long, value_name = "URL")]
    https_proxy: Option<String>,
    /// Proxy for stores without TLS; variables HTTP_PROXY, ALL_PROXY [default: none]
    #[arg(long, value_name = "URL")]
    http_proxy: Option<String>,
    /// Hosts, domains and networks that need no proxy, separated by commas; variable NO_PROXY
    #[arg(long, value_name = "HOSTS")]
    no_proxy: Option<String>,
    /// error, warn, info, debug, trace, or filter directives [default: info; warn for copy]
    #[arg(long)]
    log_level: Option<String>,
    /// text or json [default: text]
    #[arg(long)]
    log_format: Option<String>,
}

/// A proxy's URL may have a password.
impl fmt::Debug for ProcessFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessFlags").finish_non_exhaustive()
    }
}

impl ProcessFlags {
    /// Adds these flags to `overrides`.
    ///
    /// # Errors
    /// As [`Overrides::set`].
    pub fn lay_over(&self, overrides: Overrides) -> Result<Overrides, ConfigFaults> {
        overrides
            .set("memory_target", self.memory_target.as_deref())?
            .set("state_disk_max", self.state_disk_max.as_deref())?
            .set("nfs.connections", self.nfs_connections.as_deref())?
            .set("nfs.mount_port", self.nfs_mount_port.as_deref())?
            .set("nfs.privileged_ports", self.nfs_privileged_ports.as_deref())?
            .set("nfs.requests_max", self.nfs_requests_max.as_deref())?
            .set(
                "nfs.operations_per_second",
                self.nfs_operations_per_second.as_deref(),
            )?
            .set("nfs.users", self.nfs_users.as_deref())?
            .set("nfs.groups", self.nfs_groups.as_deref())?
            .set("efs.addresses", self.efs_addresses.as_deref())?
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
            .set(
                "s3.server_side_encryption",
                self.s3_server_side_encryption.as_deref(),
            )?
            .set("s3.kms_key_id", self.s3_kms_key_id.as_deref())?
            .set("s3.bucket_key", self.s3_bucket_key.as_deref())?
            .set("s3.acl", self.s3_acl.as_deref())?
            .set("s3.requester_pays", self.s3_requester_pays.as_deref())?
            .set("https_proxy", self.https_proxy.as_deref())?
            .set("http_proxy", self.http_proxy.as_deref())?
            .set("no_proxy", self.no_proxy.as_deref())?
            .set("log.level", self.log_level.as_deref())?
            .set("log.format", self.log_format.as_deref())
    }
}
