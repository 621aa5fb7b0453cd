//! Configuration: flags over environment over file, checked as a whole.

mod control;
mod flags;
mod layers;
mod maps;
mod memory;
mod nfs;
pub(crate) mod processors;
mod run_as;
mod shown;
mod stores;
mod units;
mod updates;
mod validate;
mod watching;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use datasync_model::{ActivationKey, BytesPerSecond, Proxy};
use datasync_nfs::ServerName;
use datasync_s3::Encryption;
use datasync_telemetry::{LogFormat, LogOutput, OtlpSettings};
use datasync_transfer::ServerLimits;

use crate::updates::UpdateSettings;

pub use control::{ControlAddress, ControlAddresses};
pub use flags::ProcessFlags;
pub use layers::{CONFIG_FILE_VARIABLE, Layers, Overrides, ReadError};
pub use nfs::{Reloaded, SharedOwners};
pub use run_as::RunAs;
pub(crate) use stores::ca_bundle;
pub(crate) use units::parse_rate;

/// Everything an agent is told from outside. Made by [`Layers::validate`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds identity and executions; one agent per directory.
    pub state_dir: PathBuf,
    /// Control's port for agents, of each of its replicas.
    pub control: ControlAddresses,
    /// How control is recognised before activation.
    pub control_trust: ControlTrust,
    /// Where the activation server listens until the agent is activated.
    pub activation_listen: SocketAddr,
    /// A key issued beforehand, for activation without HTTP.
    pub activation_key: Option<ActivationKey>,
    /// Executions that run at once; others wait.
    pub executions_max: usize,
    /// Bandwidth limit of all executions together, on top of each one's own.
    pub bytes_per_second: BytesPerSecond,
    /// Memory, disk, clients and logs.
    pub process: ProcessSettings,
    /// Reported to control in place of the host name.
    pub name: Option<String>,
    /// Where health and metrics are told over HTTP; `None`: nowhere.
    pub telemetry_listen: Option<SocketAddr>,
    /// Where metrics are pushed to; `None`: nowhere.
    pub otlp: Option<OtlpSettings>,
    /// Where log lines go.
    pub log_output: LogOutput,
    /// Whose updates are installed, and how they are tried.
    pub updates: UpdateSettings,
}

/// What every process that transfers is told, whether control asks it to or a command line.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Bytes of data that may be in memory at once, over all executions.
    pub memory_target_bytes: u64,
    /// Items that may fail before an execution ends; `None`: it always goes on.
    pub failures_max: Option<NonZeroU64>,
    /// Bytes that the files of executions may take, over all of them; `None`: what is free but for a
    /// reserve.
    pub state_disk_max_bytes: Option<u64>,
    /// An execution in which nothing moves for so long is begun again; `None`: it waits.
    pub stalled_after: Option<Duration>,
    /// Settings of the NFS client.
    pub nfs: NfsSettings,
    /// Where EFS file systems are reached that are not at the name that their region gives them, by
    /// the id of the file system.
    pub efs_addresses: BTreeMap<String, ServerName>,
    /// Settings of the S3 client.
    pub s3: S3Settings,
    /// The way out of this network.
    pub egress: EgressSettings,
    /// Level or filter, in the syntax of `tracing`'s filter directives.
    pub log_level: String,
    /// Form of log lines.
    pub log_format: LogFormat,
}

/// What authenticates control to an agent that is not activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlTrust {
    /// CA certificates, read from this PEM file at the start.
    CaFile(PathBuf),
    /// SHA-256 of the DER of the CA certificate, which control must present in its chain.
    Fingerprint([u8; 32]),
}

/// Settings of the NFS client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsSettings {
    /// TCP connections per source.
    pub connections: usize,
    /// Port of the MOUNT service, tried before the NFS port and the portmapper's answer.
    pub mount_port: Option<u16>,
    /// Whether source ports below 1024 are used.
    pub privileged_ports: PrivilegedPorts,
    /// What a server is asked to bear at most.
    pub limits: ServerLimits,
    /// The numbers of owners that version 4 tells by name.
    pub owners: SharedOwners,
}

/// Whether NFS connections come from ports below 1024, as many exports demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivilegedPorts {
    /// Where the process is allowed to; otherwise any port.
    Prefer,
    /// Any port.
    Never,
    /// Or fail.
    Require,
}

/// The way to stores and to control, and whom to trust there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressSettings {
    /// For TLS: stores, services of AWS, control.
    pub https_proxy: Option<Proxy>,
    /// For stores without TLS.
    pub http_proxy: Option<Proxy>,
    /// Certificates that stores may be signed by besides the system's, in PEM.
    pub ca_bundle: Option<String>,
}

impl EgressSettings {
    /// The proxy for a store's URL; `None`, the store is AWS.
    pub(crate) fn proxy_to(&self, endpoint: Option<&str>) -> Option<&Proxy> {
        match endpoint {
            Some(url) if url.starts_with("http://") => self.http_proxy.as_ref(),
            _ => self.https_proxy.as_ref(),
        }
    }
}

/// Settings of the S3 client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// Largest object of the store in bytes, where it differs from the store's known limit; 1 to
    /// [`datasync_s3::OBJECT_MAX`].
    pub object_max: Option<u64>,
    /// What a store is asked to bear at most.
    pub limits: ServerLimits,
    /// Asked for with every object; `None`: the bucket's default.
    pub encryption: Option<Encryption>,
    /// Whether objects are written with the ACL `bucket-owner-full-control`.
    pub bucket_owner_full_control: bool,
    /// Whether requests agree to pay.
    pub requester_pays: bool,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} fault(s):\n  {}", .0.len(), .0.join("\n  "))]
pub struct ConfigFaults(pub Vec<String>);

#[cfg(test)]
mod tests;
