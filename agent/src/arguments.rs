//! Flags. All values are text here: the library checks them together with the other layers.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use datasync_agent::{ConfigFaults, Overrides};

#[derive(Debug, Parser)]
#[command(
    name = "datasync-agent",
    version,
    about = "Copies between NFS and S3 as a DataSync control plane says"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the agent until SIGTERM or SIGINT
    Run(Box<RunArguments>),
    /// Checks flags, environment and file, and says everything that is wrong
    CheckConfig(Box<RunArguments>),
    /// Exits with 0 if the agent on the state directory runs and is alive (also: --health)
    Health(Box<RunArguments>),
}

/// Every flag has a variable (DATASYNC_AGENT_ and its name in capitals) and a member of the
/// configuration file. Flags win over variables, variables over the file.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Configuration file (TOML); variable DATASYNC_AGENT_CONFIG
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Directory for identity and executions [default: /var/lib/datasync-agent]
    #[arg(long)]
    state_dir: Option<String>,
    /// Control's port for agents, host:port
    #[arg(long)]
    control: Option<String>,
    /// PEM file of control's CA
    #[arg(long)]
    control_ca: Option<String>,
    /// SHA-256 of control's CA certificate, in place of --control-ca
    #[arg(long)]
    control_fingerprint: Option<String>,
    /// Name in control's certificate, where it is not the host of --control
    #[arg(long)]
    control_server_name: Option<String>,
    /// Where to wait for activation [default: 0.0.0.0:80]
    #[arg(long)]
    activation_listen: Option<String>,
    /// File with an activation key issued beforehand (better than --activation-key: flags can be
    /// seen by every user of the machine)
    #[arg(long)]
    activation_key_file: Option<String>,
    /// Activation key issued beforehand
    #[arg(long)]
    activation_key: Option<String>,
    /// Bytes of data held in memory, such as 256MiB [default: a quarter of the memory limit, at
    /// most 256MiB]
    #[arg(long)]
    memory_target: Option<String>,
    /// Executions that run at once [default: 1]
    #[arg(long)]
    executions_max: Option<String>,
    /// Name to report in place of the host name
    #[arg(long)]
    name: Option<String>,
    /// TCP connections per NFS server [default: 4]
    #[arg(long)]
    nfs_connections: Option<String>,
    /// Source ports below 1024: prefer, never, require [default: prefer]
    #[arg(long)]
    nfs_privileged_ports: Option<String>,
    /// Largest object of the store, such as 5TiB [default: the store's known limit]
    #[arg(long)]
    s3_object_max: Option<String>,
    /// error, warn, info, debug, trace, or filter directives [default: info]
    #[arg(long)]
    log_level: Option<String>,
    /// text or json [default: text]
    #[arg(long)]
    log_format: Option<String>,
}

impl RunArguments {
    pub(crate) fn overrides(&self) -> Result<Overrides, ConfigFaults> {
        [
            ("state_dir", &self.state_dir),
            ("control", &self.control),
            ("control_ca", &self.control_ca),
            ("control_fingerprint", &self.control_fingerprint),
            ("control_server_name", &self.control_server_name),
            ("activation_listen", &self.activation_listen),
            ("activation_key_file", &self.activation_key_file),
            ("activation_key", &self.activation_key),
            ("memory_target", &self.memory_target),
            ("executions_max", &self.executions_max),
            ("name", &self.name),
            ("nfs.connections", &self.nfs_connections),
            ("nfs.privileged_ports", &self.nfs_privileged_ports),
            ("s3.object_max", &self.s3_object_max),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ]
        .into_iter()
        .try_fold(Overrides::default(), |overrides, (member, value)| {
            overrides.set(member, value.as_deref())
        })
    }
}

/// `--health` in place of a subcommand is how container images ask.
pub(crate) fn normalized() -> impl Iterator<Item = OsString> {
    std::env::args_os().enumerate().map(|(index, argument)| {
        if index == 1 && argument == "--health" {
            OsString::from("health")
        } else {
            argument
        }
    })
}
