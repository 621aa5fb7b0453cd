//! Configuration: one typed value from a TOML file, the environment and flags, in rising precedence.
//!
//! Every fault is reported at once; nothing is bound or opened before the whole is valid.

mod api;
mod layers;
mod outputs;
mod roles;
mod silence;
mod watching;
mod ways_out;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use datasync_model::{AgentArn, Home, Partition};
pub use datasync_telemetry::{LogFormat, LogOutput, OtlpSettings};

use crate::egress::Egress;
use crate::state::StatePlace;
use crate::store::Database;
pub use api::{ApiConnections, ApiSecurity};
use layers::Layers;
pub(crate) use layers::{ENVIRONMENT_PREFIX, Flags};
pub use outputs::Outputs;
pub(crate) use roles::is_role_arn;
pub use roles::{Role, RoleKind};
use watching::{log_filter, log_format, log_output, otlp, telemetry_listen};

/// Everything `serve` needs. [`Config::new`] has the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Sealing key and CA live here, and the database unless it is elsewhere.
    pub state_dir: PathBuf,
    /// Where the rows are.
    pub database: Database,
    /// The key that seals secrets, if it is not in the state directory.
    pub sealing_key_file: Option<PathBuf>,
    /// Where the DataSync API listens.
    pub api_listen: SocketAddr,
    /// Where agents connect (gRPC over TLS).
    pub agent_listen: SocketAddr,
    /// How many connections the API has at a time.
    pub api_connections: ApiConnections,
    /// HTTPS or HTTP for the API.
    pub api_security: ApiSecurity,
    /// Names and addresses in control's certificate, besides localhost and loopback.
    pub server_names: Vec<String>,
    /// Partition, region and account of every ARN.
    pub home: Home,
    /// Agents that may run tasks whose locations name none; empty means every agent.
    pub default_agents: Vec<AgentArn>,
    /// How often agents report.
    pub heartbeat_interval: Duration,
    /// Silence after which an agent counts as OFFLINE, at most 5 minutes.
    pub offline_after: Duration,
    /// Silence of an agent after which another one of its locations may be given what it runs; at
    /// least twice [`Config::offline_after`].
    pub failover_after: Duration,
    /// How many executions one agent runs at a time.
    pub executions_per_agent: NonZeroU32,
    /// The shortest time between two starts of a task's schedule; AWS: one hour.
    pub schedule_interval_min: Duration,
    /// Lifetime of agents' certificates.
    pub agent_certificate_lifetime: Duration,
    /// How long ended executions are kept.
    pub execution_history: Duration,
    /// How credentials for role ARNs are got.
    pub roles: Vec<Role>,
    /// The way to STS and to stores.
    pub egress: Egress,
    /// Where events and the audit log go.
    pub outputs: Outputs,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Filter of the log, as in `info` or `datasync_control=debug`.
    pub log_filter: String,
    /// Where its lines go.
    pub log_output: LogOutput,
    /// Where health and metrics are told over HTTP; `None`: nowhere.
    pub telemetry_listen: Option<SocketAddr>,
    /// Where metrics are pushed to; `None`: nowhere.
    pub otlp: Option<OtlpSettings>,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The default account id: no real account has it.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

impl Config {
    /// The defaults, with the state in `state_dir`.
    ///
    /// # Errors
    /// Never in practice; the defaults are parsed like any other text.
    pub fn new(state_dir: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let layers = Layers::of_flags(Flags {
            state_dir: Some(state_dir.into().to_string_lossy().into_owned()),
            ..Flags::default()
        });
        validate(layers)
    }

    /// Where the state is.
    #[must_use]
    pub fn state_place(&self) -> StatePlace {
        StatePlace {
            directory: self.state_dir.clone(),
            database: self.database.clone(),
            sealing_key_file: self.sealing_key_file.clone(),
        }
    }

    /// Reads the file that the flags or the environment name, then merges all three.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault.
    pub(crate) fn load(
        flags: Flags,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        validate(Layers::load(flags, environment))
    }

    /// Reads only what may change while control serves: the filter of the log.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of the file's form and of the filter.
    pub(crate) fn load_log_filter(
        flags: Flags,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, ConfigError> {
        let mut layers = Layers::load(flags, environment);
        let filter = log_filter(&mut layers);
        let faults = layers.into_faults();
        match filter {
            Some(filter) if faults.is_empty() => Ok(filter),
            _ => Err(ConfigError { faults }),
        }
    }
}

/// Every fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<String>,
}

impl ConfigError {
    /// One line for each fault.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad configuration:")?;
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

fn validate(mut layers: Layers) -> Result<Config, ConfigError> {
    let api_listen = layers.parsed("api_listen", "0.0.0.0:8443", str::parse::<SocketAddr>);
    let agent_listen = layers.parsed("agent_listen", "0.0.0.0:9443", str::parse::<SocketAddr>);
    let api_connections = api::api_connections(&mut layers);
    let api_security = api::api_security(&mut layers, api_listen);
    let (heartbeat_interval, offline_after) = silence::lease(&mut layers);
    let failover_after = silence::failover(&mut layers, offline_after);
    let home = home(&mut layers);
    let default_agents = layers.list("default_agents", str::parse::<AgentArn>);
    let server_names = layers.list("server_names", api::server_name);
    let executions_per_agent = layers.parsed("executions_per_agent", "1", |text| {
        text.parse::<NonZeroU32>()
            .map_err(|_| "must be a whole number of at least 1")
    });
    let interval = layers.parsed("schedule_interval_min_minutes", "60", |text| {
        in_range(text, 1, 60, "minutes").map(|minutes| Duration::from_secs(minutes * 60))
    });
    let days = layers.parsed("agent_certificate_days", "30", |text| {
        in_range(text, 1, 3650, "days")
    });
    let history_days = layers.parsed("execution_history_days", "90", |text| {
        in_range(text, 1, 36_500, "days")
    });
    let log_format = log_format(&mut layers);
    let log_filter = log_filter(&mut layers);
    let log_output = log_output(&mut layers);
    let telemetry_listen = telemetry_listen(&mut layers);
    let state_dir = state_dir(&mut layers);
    let outputs = outputs::outputs(&mut layers, state_dir.as_deref());
    let database = ways_out::database(&mut layers);
    let sealing_key_file = layers.optional("sealing_key_file").map(PathBuf::from);
    let egress = ways_out::egress(&mut layers);
    let otlp = otlp(&mut layers, egress.ca_bundle.clone());
    let tables = layers.roles();
    let roles = roles::roles(tables, &mut layers);
    let config = (|| {
        Some(Config {
            state_dir: state_dir?,
            database: database?,
            sealing_key_file,
            api_listen: api_listen?,
            agent_listen: agent_listen?,
            api_connections: api_connections?,
            api_security: api_security?,
            server_names,
            home: home?,
            default_agents,
            heartbeat_interval: heartbeat_interval?,
            offline_after: offline_after?,
            failover_after: failover_after?,
            executions_per_agent: executions_per_agent?,
            schedule_interval_min: interval?,
            agent_certificate_lifetime: DAY * u32::try_from(days?).ok()?,
            execution_history: DAY * u32::try_from(history_days?).ok()?,
            roles,
            egress,
            outputs: outputs?,
            log_format: log_format?,
            log_filter: log_filter?,
            log_output: log_output?,
            telemetry_listen,
            otlp,
        })
    })();
    let faults = layers.into_faults();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(ConfigError { faults }),
    }
}

fn state_dir(layers: &mut Layers) -> Option<PathBuf> {
    layers.parsed("state_dir", "", |text| {
        if text.is_empty() {
            Err("is required: the directory that holds control's state")
        } else {
            Ok(PathBuf::from(text))
        }
    })
}

fn in_range(text: &str, min: u64, max: u64, unit: &str) -> Result<u64, String> {
    text.parse::<u64>()
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| format!("must be a whole number of {unit} from {min} to {max}"))
}

fn home(layers: &mut Layers) -> Option<Home> {
    let partition = layers.parsed("partition", "aws", str::parse::<Partition>);
    let region = layers.parsed("region", REGION, str::parse);
    let account = layers.parsed("account", ACCOUNT, str::parse);
    Some(Home {
        partition: partition?,
        region: region?,
        account: account?,
    })
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false"),
    }
}

#[cfg(test)]
mod tests;
