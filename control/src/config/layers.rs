//! Where settings come from: file, environment, flags. Values stay text until they are validated,
//! so that a fault in one does not hide the faults in the others.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use serde::Deserialize;

/// Environment variables are `DATASYNC_CONTROL_` and the setting's name in capitals.
pub(crate) const ENVIRONMENT_PREFIX: &str = "DATASYNC_CONTROL_";

/// One `[[role]]` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleTable {
    pub(super) arn: String,
    pub(super) kind: String,
    pub(super) external_id: Option<String>,
    pub(super) sts_endpoint: Option<String>,
    pub(super) endpoint: Option<String>,
}

macro_rules! settings {
    ($($(#[$attribute:meta])+ $name:ident),+ $(,)?) => {
        /// Settings as flags. Lists are separated by commas. A flag that is on or off stands alone
        /// or takes its value after `=`, so that a subcommand may follow it.
        #[derive(Clone, Default, clap::Args)]
        pub(crate) struct Flags {
            /// TOML file with the settings below (in the form `state_dir = "…"`) and `[[role]]` tables
            #[arg(long, global = true, value_name = "FILE")]
            pub(crate) config: Option<String>,
            $($(#[$attribute])+
            #[arg(long, global = true, value_name = "VALUE")]
            pub(crate) $name: Option<String>,)+
        }

        /// A proxy's URL may have a password.
        impl std::fmt::Debug for Flags {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct("Flags").finish_non_exhaustive()
            }
        }

        const NAMES: &[&str] = &[$(stringify!($name)),+];

        impl Flags {
            fn into_values(self) -> BTreeMap<&'static str, String> {
                let mut values = BTreeMap::new();
                $(if let Some(value) = self.$name { values.insert(stringify!($name), value); })+
                values
            }
        }
    };
}

settings! {
    /// Directory of control's state (required)
    state_dir,
    /// PostgreSQL database for the rows, postgresql://USER@HOST/DATABASE [default: SQLite in the
    /// state directory]. Flags can be seen by every user of the machine: a password goes into the
    /// variable or the file
    database_url,
    /// PEM file of the certificates that the database's may be signed by [default: the system's]
    database_ca_file,
    /// File with the key that seals secrets, 32 bytes; replicas share it [default: sealing.key in
    /// the state directory, made at the first start]
    sealing_key_file,
    /// Address of the DataSync API [default: 0.0.0.0:8443]
    api_listen,
    /// Address for agents, gRPC over TLS [default: 0.0.0.0:9443]
    agent_listen,
    /// Connections that the API has at a time, 16 to 65536 [default: 512]
    api_connections_max,
    /// Connections that the API has with one address at a time [default: half of all]
    api_connections_per_address,
    /// Whether the API speaks TLS [default: true]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    api_tls,
    /// PEM certificate chain of the API [default: one of control's own CA]
    api_certificate_file,
    /// PEM private key of the API's certificate
    api_key_file,
    /// Whether plain HTTP is allowed beyond loopback [default: false]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_insecure_http,
    /// Names and addresses in control's certificate, besides localhost
    server_names,
    /// Partition of the ARNs [default: aws]
    partition,
    /// Region of the ARNs, which clients sign for [default: us-east-1]
    region,
    /// Account of the ARNs [default: 000000000000]
    account,
    /// ARNs of the agents that may run tasks whose locations name none [default: every agent]
    default_agents,
    /// How often agents report [default: 15]
    heartbeat_interval_seconds,
    /// Silence after which an agent is OFFLINE, at most 300 [default: 60]
    offline_after_seconds,
    /// Silence after which another agent takes over what an agent runs, at least twice
    /// offline_after_seconds and at most 86400 [default: twice offline_after_seconds]
    failover_after_seconds,
    /// Executions that one agent runs at a time [default: 1]
    executions_per_agent,
    /// Least minutes between two starts of a schedule; AWS allows 60 [default: 60]
    schedule_interval_min_minutes,
    /// Lifetime of agents' certificates [default: 30]
    agent_certificate_days,
    /// Days for which ended executions are kept; AWS keeps 30 [default: 90]
    execution_history_days,
    /// Proxy for TLS connections to STS, stores, CloudWatch Logs and the webhook, http://HOST:PORT;
    /// variables HTTPS_PROXY, ALL_PROXY. Flags can be seen by every user of the machine: a password
    /// goes into the variable
    https_proxy,
    /// Proxy for stores and a webhook without TLS; variables HTTP_PROXY, ALL_PROXY
    http_proxy,
    /// Hosts, domains and networks that need no proxy; variable NO_PROXY
    no_proxy,
    /// PEM file of certificates that STS, stores, CloudWatch Logs, the webhook and the collector may be
    /// signed by besides the system's
    ca_bundle_file,
    /// File that events go to, JSON lines; empty: none [default: events.jsonl in state_dir]
    event_file,
    /// Disk that the file of events takes at most, in MiB [default: 64]
    event_file_mib,
    /// URL that events are posted to. Flags can be seen by every user of the machine: a password or
    /// token goes into the variable or the file
    event_webhook_url,
    /// File with the secret that signs what is posted, 16 to 4096 bytes
    event_webhook_secret_file,
    /// Role, by its [[role]] or key, whose credentials send logs to CloudWatch Logs [default: the
    /// AWS default chain]
    cloudwatch_role_arn,
    /// URL to send logs to in place of AWS's CloudWatch Logs
    cloudwatch_endpoint,
    /// File of the audit log, JSON lines; empty: none [default: audit.jsonl in state_dir]
    audit_file,
    /// Disk that the audit log takes at most, in MiB [default: 256]
    audit_file_mib,
    /// text or json [default: text]
    log_format,
    /// What is logged, as in info or datasync_control=debug; read again at SIGHUP [default: info]
    log_filter,
    /// Where log lines go: stderr or stdout [default: stderr]
    log_output,
    /// Address of /livez, /readyz and /metrics, HTTP without TLS, such as 127.0.0.1:9181; empty:
    /// none [default: none]
    telemetry_listen,
    /// Collector that metrics are pushed to by OTLP over gRPC, such as https://collector.example:4317;
    /// empty: none [default: none]
    otlp_endpoint,
    /// Seconds from one push of metrics to the next, 5 to 3600 [default: 60]
    otlp_interval_seconds,
    /// File with NAME: VALUE lines that are sent with each push, readable by its owner alone
    otlp_headers_file,
}

/// By setting; the first that is not empty.
const CONVENTIONAL: &[(&str, &[&str])] = &[
    (
        "https_proxy",
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
    ),
    (
        "http_proxy",
        &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    ),
    ("no_proxy", &["no_proxy", "NO_PROXY"]),
];

/// A value and where it came from, for fault texts.
struct Value {
    texts: Vec<String>,
    origin: String,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Settings of all sources, and the faults found so far.
#[derive(Debug, Default)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, Value>,
    roles: Vec<RoleTable>,
    faults: Vec<String>,
}

impl Layers {
    pub(super) fn of_flags(flags: Flags) -> Self {
        let mut layers = Self::default();
        layers.add_flags(flags);
        layers
    }

    /// Variables that other programs know too: they count where nothing else is said.
    fn add_conventional(&mut self, environment: &dyn Fn(&str) -> Option<String>) {
        for (name, variables) in CONVENTIONAL {
            let mut all = variables.iter();
            let found = all.find_map(|variable| {
                let text = environment(variable).filter(|text| !text.is_empty())?;
                Some((variable, text))
            });
            if let Some((variable, text)) = found {
                self.put(name, vec![text], format!("environment {variable}"));
            }
        }
    }

    pub(super) fn load(flags: Flags, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut layers = Self::default();
        layers.add_conventional(environment);
        let file = flags
            .config
            .clone()
            .or_else(|| environment(&format!("{ENVIRONMENT_PREFIX}CONFIG")));
        if let Some(file) = file {
            layers.add_file(Path::new(&file));
        }
        for name in NAMES {
            let variable = format!("{ENVIRONMENT_PREFIX}{}", name.to_uppercase());
            if let Some(text) = environment(&variable) {
                layers.put(name, vec![text], format!("environment {variable}"));
            }
        }
        layers.add_flags(flags);
        layers
    }

    fn add_flags(&mut self, flags: Flags) {
        for (name, text) in flags.into_values() {
            self.put(name, vec![text], format!("--{}", name.replace('_', "-")));
        }
    }

    fn put(&mut self, name: &'static str, texts: Vec<String>, origin: String) {
        self.values.insert(name, Value { texts, origin });
    }

    fn add_file(&mut self, path: &Path) {
        let shown = path.display();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.fault(format!("{shown}: cannot be read: {error}")),
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            // Its own text repeats the line, which may hold a password.
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let line = text
                    .bytes()
                    .take(offset)
                    .filter(|byte| *byte == b'\n')
                    .count()
                    + 1;
                let message = error.message();
                return self.fault(format!("{shown}: not TOML: line {line}: {message}"));
            }
        };
        for (key, value) in table {
            if key == "role" {
                self.add_roles(value, path);
                continue;
            }
            let Some(name) = NAMES.iter().find(|name| **name == key) else {
                self.fault(format!("{shown}: unknown setting {key:?}"));
                continue;
            };
            match texts(value) {
                Some(texts) => self.put(name, texts, format!("{key} in {shown}")),
                None => self.fault(format!(
                    "{shown}: {key} must be a text, a number, true or false, or a list of texts"
                )),
            }
        }
    }

    fn add_roles(&mut self, value: toml::Value, path: &Path) {
        let toml::Value::Array(tables) = value else {
            return self.fault(format!("{}: write roles as [[role]]", path.display()));
        };
        for (index, table) in tables.into_iter().enumerate() {
            match table.try_into::<RoleTable>() {
                Ok(role) => self.roles.push(role),
                Err(error) => self.fault(format!(
                    "{}: [[role]] number {}: {}",
                    path.display(),
                    index + 1,
                    error.message()
                )),
            }
        }
    }

    pub(super) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    pub(super) fn roles(&mut self) -> Vec<RoleTable> {
        std::mem::take(&mut self.roles)
    }

    pub(super) fn optional(&mut self, name: &'static str) -> Option<String> {
        let value = self.values.get(name)?;
        if value.texts.len() == 1 {
            return value.texts.first().cloned();
        }
        let fault = format!("{}: must be one value, not a list", value.origin);
        self.fault(fault);
        None
    }

    /// The setting, or its default; `None` once a fault has been noted.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        name: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let (text, origin) = match self.values.get(name) {
            None => (default.to_owned(), name.to_owned()),
            Some(value) => {
                let origin = value.origin.clone();
                (self.optional(name)?, origin)
            }
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(if text.is_empty() {
                    format!("{origin}: {error}")
                } else {
                    format!("{origin}: {text:?}: {error}")
                });
                None
            }
        }
    }

    /// A list: an array in the file, commas elsewhere.
    pub(super) fn list<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let Some(value) = self.values.get(name) else {
            return Vec::new();
        };
        let mut parsed = Vec::new();
        let mut faults = Vec::new();
        let items = value.texts.iter().flat_map(|text| text.split(','));
        for item in items.map(str::trim).filter(|item| !item.is_empty()) {
            match parse(item) {
                Ok(item) => parsed.push(item),
                Err(error) => faults.push(format!("{}: {item:?}: {error}", value.origin)),
            }
        }
        self.faults.append(&mut faults);
        parsed
    }

    pub(super) fn into_faults(self) -> Vec<String> {
        self.faults
    }
}

fn texts(value: toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Boolean(flag) => Some(vec![flag.to_string()]),
        toml::Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                toml::Value::String(text) => Some(text),
                _ => None,
            })
            .collect(),
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
