//! Configuration: one typed value from a TOML file, the environment and flags, in rising precedence.
//!
//! Every fault is reported at once; nothing is bound or opened before the whole is valid.

mod layers;
mod outputs;
mod watching;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use datasync_model::{AgentArn, Home, Partition, Proxy};
pub use datasync_telemetry::{LogFormat, LogOutput};

use crate::egress::Egress;
use crate::state::StatePlace;
use crate::store::{Database, Postgres};
pub(crate) use layers::{ENVIRONMENT_PREFIX, Flags};
use layers::{Layers, RoleTable};
pub use outputs::Outputs;
use outputs::outputs;
use watching::{log_filter, log_format, log_output, telemetry_listen};

/// How control serves its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiSecurity {
    /// HTTPS with a certificate of control's own CA.
    OwnCa,
    /// HTTPS with a certificate from elsewhere, both files PEM.
    Files {
        /// The certificate and its chain.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Plain HTTP: only on loopback unless explicitly allowed.
    Plain,
}

/// Bounds on connections of the API; those on which nothing is being answered yield to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiConnections {
    /// At a time.
    pub total: usize,
    /// With one address, or one /64 network of IPv6, at a time.
    pub per_address: usize,
}

/// A way to get credentials for a role ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The role's ARN, or `*` for every role that has no entry of its own.
    pub arn: String,
    /// How.
    pub kind: RoleKind,
}

/// How credentials for a role are got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleKind {
    /// A key set with `datasync-control role set-key`, sealed in the store.
    SealedKey,
    /// STS AssumeRole with the credentials of the AWS default chain.
    AssumeRole {
        /// Passed to AssumeRole where the role's trust policy asks for one.
        external_id: Option<String>,
        /// Base URL of an STS that is not AWS's.
        sts_endpoint: Option<String>,
        /// Base URL of the S3-compatible store that honours the credentials; `None` means AWS.
        endpoint: Option<String>,
    },
}

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
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The default account id: no real account has it.
const ACCOUNT: &str = "000000000000";
const CA_BUNDLE_BYTES_MAX: u64 = 1 << 20;
const REGION: &str = "us-east-1";
/// AWS calls an agent OFFLINE after this time.
const OFFLINE_AFTER_MAX: Duration = Duration::from_secs(300);
/// Longer leases than this no agent takes.
const FAILOVER_AFTER_MAX: Duration = DAY;

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

fn egress(layers: &mut Layers) -> Egress {
    let no_proxy = layers.optional("no_proxy").unwrap_or_default();
    Egress {
        https_proxy: proxy(layers, "https_proxy", &no_proxy),
        http_proxy: proxy(layers, "http_proxy", &no_proxy),
        ca_bundle: layers
            .optional("ca_bundle_file")
            .and_then(|path| certificates(layers, "ca_bundle_file", &path)),
    }
}

/// An empty text is no proxy. The fault does not repeat it: it may hold a password.
fn proxy(layers: &mut Layers, name: &'static str, no_proxy: &str) -> Option<Proxy> {
    let url = layers.optional(name).filter(|url| !url.trim().is_empty())?;
    Proxy::new(&url, no_proxy)
        .map_err(|error| layers.fault(format!("{name}: {error}")))
        .ok()
}

fn certificates(layers: &mut Layers, name: &str, path: &str) -> Option<String> {
    read_certificates(path)
        .map_err(|fault| layers.fault(format!("{name}: {fault}")))
        .ok()
}

fn read_certificates(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {path}: {error}");
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > CA_BUNDLE_BYTES_MAX {
        return Err(format!("{path} is larger than {CA_BUNDLE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(format!("{path} holds no certificate in PEM"))
    }
}

/// The fault does not repeat the URL: it may hold a password.
fn database(layers: &mut Layers) -> Option<Database> {
    let ca = layers.optional("database_ca_file");
    let url = layers.optional("database_url");
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        if ca.is_some() {
            layers.fault("database_ca_file makes no sense without database_url");
        }
        return Some(Database::Sqlite);
    };
    let ca = ca.map(|path| certificates(layers, "database_ca_file", &path));
    let misses_ca = ca == Some(None);
    Postgres::parse(&url, ca.flatten())
        .map_err(|fault| layers.fault(format!("database_url: {fault}")))
        .map(|settings| Database::Postgres(Box::new(settings)))
        .ok()
        .filter(|_| !misses_ca)
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
    let api_connections = api_connections(&mut layers);
    let api_security = api_security(&mut layers, api_listen);
    let (heartbeat_interval, offline_after) = lease(&mut layers);
    let failover_after = failover(&mut layers, offline_after);
    let home = home(&mut layers);
    let default_agents = layers.list("default_agents", str::parse::<AgentArn>);
    let server_names = layers.list("server_names", server_name);
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
    let outputs = outputs(&mut layers, state_dir.as_deref());
    let database = database(&mut layers);
    let sealing_key_file = layers.optional("sealing_key_file").map(PathBuf::from);
    let egress = egress(&mut layers);
    let tables = layers.roles();
    let roles = roles(tables, &mut layers);
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

fn api_connections(layers: &mut Layers) -> Option<ApiConnections> {
    let total = layers.parsed("api_connections_max", "512", |text| {
        in_range(text, 16, 65_536, "connections")
    })?;
    let half = (total / 2).to_string();
    let per_address = layers.parsed("api_connections_per_address", &half, |text| {
        in_range(text, 1, total, "connections")
    })?;
    Some(ApiConnections {
        total: usize::try_from(total).ok()?,
        per_address: usize::try_from(per_address).ok()?,
    })
}

fn lease(layers: &mut Layers) -> (Option<Duration>, Option<Duration>) {
    let heartbeat = layers.parsed("heartbeat_interval_seconds", "15", |text| {
        in_range(text, 1, 60, "seconds").map(Duration::from_secs)
    });
    let offline = layers.parsed("offline_after_seconds", "60", |text| {
        in_range(text, 2, OFFLINE_AFTER_MAX.as_secs(), "seconds").map(Duration::from_secs)
    });
    if let (Some(heartbeat), Some(offline)) = (heartbeat, offline)
        && offline < heartbeat * 2
    {
        layers.fault(
            "offline_after_seconds must be at least twice heartbeat_interval_seconds: \
             one late heartbeat must not take an agent offline",
        );
    }
    (heartbeat, offline)
}

/// Twice `offline_after`, if nothing else is set.
fn failover(layers: &mut Layers, offline_after: Option<Duration>) -> Option<Duration> {
    let least = offline_after? * 2;
    let default = least.as_secs().to_string();
    let failover = layers.parsed("failover_after_seconds", &default, |text| {
        in_range(text, 1, FAILOVER_AFTER_MAX.as_secs(), "seconds").map(Duration::from_secs)
    })?;
    if failover < least {
        layers.fault(
            "failover_after_seconds must be at least twice offline_after_seconds: an agent that \
             comes back in time keeps what it runs",
        );
    }
    Some(failover)
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

fn api_security(layers: &mut Layers, listen: Option<SocketAddr>) -> Option<ApiSecurity> {
    let tls = layers.parsed("api_tls", "true", boolean)?;
    let allowed = layers.parsed("allow_insecure_http", "false", boolean)?;
    let certificate = layers.optional("api_certificate_file").map(PathBuf::from);
    let key = layers.optional("api_key_file").map(PathBuf::from);
    match (tls, certificate, key) {
        (true, None, None) => Some(ApiSecurity::OwnCa),
        (true, Some(certificate), Some(key)) => Some(ApiSecurity::Files { certificate, key }),
        (true, _, _) => {
            layers.fault("api_certificate_file and api_key_file go together: set both or neither");
            None
        }
        (false, None, None) => {
            let loopback = listen.is_none_or(|address| address.ip().is_loopback());
            if !loopback && !allowed {
                layers.fault(
                    "api_tls = false is allowed only on a loopback address: listen on 127.0.0.1, \
                     or set allow_insecure_http if the network in between is trusted",
                );
            }
            Some(ApiSecurity::Plain)
        }
        (false, _, _) => {
            layers
                .fault("api_certificate_file and api_key_file make no sense with api_tls = false");
            None
        }
    }
}

/// A DNS name or an IP address, as it goes into a certificate.
fn server_name(text: &str) -> Result<String, &'static str> {
    rustls_pki_types::ServerName::try_from(text)
        .map(|_| text.to_owned())
        .map_err(|_| "must be a DNS name or an IP address")
}

fn roles(tables: Vec<RoleTable>, layers: &mut Layers) -> Vec<Role> {
    let mut roles: Vec<Role> = Vec::new();
    for table in tables {
        let arn = table.arn.clone();
        let role = if arn != "*" && !is_role_arn(&arn) {
            Err(format!(
                "role {arn:?}: arn must look like arn:aws:iam::123456789012:role/name, or be \"*\""
            ))
        } else if roles.iter().any(|role| role.arn == arn) {
            Err(format!("role {arn:?} appears twice"))
        } else {
            role_kind(table).map(|kind| Role { arn, kind })
        };
        match role {
            Ok(role) => roles.push(role),
            Err(fault) => layers.fault(fault),
        }
    }
    roles
}

/// Whether `text` has the form of a role ARN (DataSync API, `BucketAccessRoleArn`).
pub(crate) fn is_role_arn(text: &str) -> bool {
    let mut fields = text.splitn(6, ':');
    fields.next() == Some("arn")
        && fields
            .next()
            .is_some_and(|partition| partition.parse::<Partition>().is_ok())
        && fields.next() == Some("iam")
        && fields.next() == Some("")
        && fields
            .next()
            .is_some_and(|account| account.is_empty() || account.len() == 12)
        && fields.next().is_some_and(|name| {
            name.strip_prefix("role/")
                .is_some_and(|name| !name.is_empty())
        })
}

fn role_kind(table: RoleTable) -> Result<RoleKind, String> {
    let url = |name: &str, value: Option<String>| match value {
        Some(url) if !(url.starts_with("https://") || url.starts_with("http://")) => Err(format!(
            "role {:?}: {name} must begin with https:// or http://",
            table.arn
        )),
        value => Ok(value),
    };
    match table.kind.as_str() {
        "sealed-key" => {
            if table.external_id.is_some()
                || table.sts_endpoint.is_some()
                || table.endpoint.is_some()
            {
                return Err(format!(
                    "role {:?}: a sealed-key role has no other members; its key and endpoint are \
                     set with `datasync-control role set-key`",
                    table.arn
                ));
            }
            Ok(RoleKind::SealedKey)
        }
        "assume-role" => Ok(RoleKind::AssumeRole {
            external_id: table.external_id.clone(),
            sts_endpoint: url("sts_endpoint", table.sts_endpoint.clone())?,
            endpoint: url("endpoint", table.endpoint.clone())?,
        }),
        other => Err(format!(
            "role {:?}: kind {other:?} must be sealed-key or assume-role",
            table.arn
        )),
    }
}

#[cfg(test)]
mod tests;
