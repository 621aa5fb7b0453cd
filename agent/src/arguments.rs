//! Flags. All values are text here: they are checked together with the other layers.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::{CheckFlags, ConfigFaults, CopyFlags, Overrides, ProcessFlags};
use clap::{Args, Parser, Subcommand};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "datasync-agent",
    version,
    about = "Copies between NFS and S3 as a DataSync control plane says, or once by itself"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the agent until SIGTERM or SIGINT
    Run(Box<RunArguments>),
    /// Checks flags, environment and file, and says everything that is wrong
    CheckConfig(Box<RunArguments>),
    /// Exits with 0 if the agent on the state directory runs and is alive (also: --health)
    Health(Box<RunArguments>),
    /// Exits with 0 if no execution is under way at the agent on the state directory
    Idle(Box<RunArguments>),
    /// Installs a release into the agent that runs, and waits until it has reached control
    ///
    /// The bundle must be signed with one of release_keys. It starts once no execution is under way,
    /// or with --drain once they have stopped at a checkpoint; they go on after it. If it does not
    /// reach control in update_trial_seconds, or in three starts, what ran before runs again.
    Update(Box<UpdateArguments>),
    /// Carries out the appliance's seed (NoCloud or OVF properties), once: network, control, key
    Firstboot(FirstbootArguments),
    /// Shows the local console on this terminal: activation, network, tests, log, support bundle
    Console(Box<ConsoleArguments>),
    /// Checks whether a location can be used, step by step: which hop, right or ability is missing
    ///
    /// Credentials come from where `copy` takes them. Exit codes: 0 it can be used, 1 it cannot,
    /// 64 bad flags.
    Check(Box<CheckFlags>),
    /// Copies an NFS directory to a bucket once, without control
    ///
    /// The same command line again goes on with a copy that was interrupted. Credentials come from
    /// the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), a profile or
    /// the machine's role, never from a flag. Exit codes: 0 everything done, 1 could not begin or
    /// ended early, 2 done except for items that failed or deletes that were withheld, 64 bad flags,
    /// 130 and 143 interrupted.
    Copy(Box<CopyFlags>),
}

/// Every flag has a variable (DATASYNC_AGENT_ and its name in capitals) and a member of the
/// configuration file. Flags win over variables, variables over the file.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Configuration file (TOML); variable DATASYNC_AGENT_CONFIG
    #[arg(long)]
    pub config: Option<PathBuf>,
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
    /// PEM file of certificates that stores, and the collector of --otlp-endpoint, may be signed by
    /// besides the system's
    #[arg(long)]
    ca_bundle: Option<String>,
    /// Executions that run at once [default: 1]
    #[arg(long)]
    executions_max: Option<String>,
    /// Bandwidth limit of all executions together, such as 100MiB; -1 for none [default: -1]
    #[arg(long, allow_hyphen_values = true)]
    bytes_per_second: Option<String>,
    /// Name to report in place of the host name
    #[arg(long)]
    name: Option<String>,
    /// USER:GROUP, in numbers, to become where the program starts as root; only the right to ports
    /// below 1024 is kept
    #[arg(long)]
    run_as: Option<String>,
    /// Where /livez, /readyz and /metrics are answered over HTTP, such as 127.0.0.1:9180
    /// [default: nowhere]
    #[arg(long)]
    telemetry_listen: Option<String>,
    /// Collector that metrics are pushed to by OTLP over gRPC, such as https://collector.example:4317
    /// [default: none]
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Seconds from one push of metrics to the next, 5 to 3600 [default: 60]
    #[arg(long)]
    otlp_interval_seconds: Option<String>,
    /// File with NAME: VALUE lines that are sent with each push, readable by its owner alone
    #[arg(long, value_name = "FILE")]
    otlp_headers_file: Option<String>,
    /// PEM file, or directory of them, with the public keys that updates are signed with
    /// [default: /etc/datasync/release-keys.d, if it is there]
    #[arg(long)]
    release_keys: Option<String>,
    /// Seconds that an update may take to reach control before it is taken back [default: 600]
    #[arg(long)]
    update_trial_seconds: Option<String>,
    /// Where log lines go: stderr or stdout [default: stderr]
    #[arg(long)]
    log_output: Option<String>,
    #[command(flatten)]
    process: ProcessFlags,
}

/// The agent's own settings, so that the console finds it.
#[derive(Debug, Args)]
pub struct ConsoleArguments {
    /// Those of `run`.
    #[command(flatten)]
    pub agent: RunArguments,
    /// Directory that stands for / where the machine's files are read and written
    #[arg(long, hide = true, default_value = "/")]
    pub root: PathBuf,
}

/// Where the agent is, its own settings say.
#[derive(Debug, Args)]
pub struct UpdateArguments {
    /// Those of `run`.
    #[command(flatten)]
    pub agent: RunArguments,
    /// The bundle, datasync-agent-VERSION-ARCHITECTURE.update; - for standard input
    #[arg(required_unless_present = "packaged")]
    pub file: Option<PathBuf>,
    /// Go back to the program of the package or image, and remove all updates
    #[arg(long, conflicts_with_all = ["file", "allow_downgrade"])]
    pub packaged: bool,
    /// Start it once no execution is under way: the default
    #[arg(long, conflicts_with = "drain")]
    pub when_idle: bool,
    /// Let executions stop at a checkpoint; they go on after the update
    #[arg(long)]
    pub drain: bool,
    /// Seconds to wait for the end of executions, at most a week; then nothing is changed, but that
    /// --packaged starts once they have ended
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub wait: u64,
    /// Install it also if it is older than what runs
    #[arg(long)]
    pub allow_downgrade: bool,
}

/// Exits with 0 also where there is no seed, and with 1 where there is one that cannot be used.
#[derive(Debug, Args)]
pub struct FirstbootArguments {
    /// Directory with the files of a seed, in place of the machine's disks
    #[arg(long)]
    pub seed: Option<PathBuf>,
    /// Directory that stands for / where the machine's files are read and written
    #[arg(long, hide = true, default_value = "/")]
    pub root: PathBuf,
}

impl RunArguments {
    /// The flags that are given, by the members of the configuration.
    ///
    /// # Errors
    /// [`ConfigFaults`] for a flag that no member stands for: a defect.
    pub fn overrides(&self) -> Result<Overrides, ConfigFaults> {
        let overrides = self.process.lay_over(Overrides::default())?;
        [
            ("state_dir", &self.state_dir),
            ("control", &self.control),
            ("control_ca", &self.control_ca),
            ("control_fingerprint", &self.control_fingerprint),
            ("control_server_name", &self.control_server_name),
            ("activation_listen", &self.activation_listen),
            ("activation_key_file", &self.activation_key_file),
            ("activation_key", &self.activation_key),
            ("ca_bundle", &self.ca_bundle),
            ("executions_max", &self.executions_max),
            ("bytes_per_second", &self.bytes_per_second),
            ("name", &self.name),
            ("run_as", &self.run_as),
            ("telemetry_listen", &self.telemetry_listen),
            ("otlp_endpoint", &self.otlp_endpoint),
            ("otlp_interval_seconds", &self.otlp_interval_seconds),
            ("otlp_headers_file", &self.otlp_headers_file),
            ("release_keys", &self.release_keys),
            ("update_trial_seconds", &self.update_trial_seconds),
            ("log.output", &self.log_output),
        ]
        .into_iter()
        .try_fold(overrides, |overrides, (member, value)| {
            overrides.set(member, value.as_deref())
        })
    }
}

/// The process's arguments. `--health` in place of a subcommand is how container images ask.
pub fn normalized() -> impl Iterator<Item = OsString> {
    std::env::args_os().enumerate().map(|(index, argument)| {
        if index == 1 && argument == "--health" {
            OsString::from("health")
        } else {
            argument
        }
    })
}
