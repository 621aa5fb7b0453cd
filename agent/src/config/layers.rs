//! Where values come from: flags, environment, file. Everything is text until it is validated, so
//! that one pass can report every fault.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{ConfigFaults, maps};

/// The largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where the state is unless something else is said.
pub(super) const STATE_DIR: &str = "/var/lib/datasync-agent";

const VARIABLE_PREFIX: &str = "DATASYNC_AGENT_";

/// Names the configuration file where no flag does.
pub const CONFIG_FILE_VARIABLE: &str = "DATASYNC_AGENT_CONFIG";

/// Every member, as written in the file; `.` separates a table from its member.
pub(super) const MEMBERS: &[&str] = &[
    "state_dir",
    "control",
    "control_ca",
    "control_fingerprint",
    "control_server_name",
    "activation_listen",
    "activation_key",
    "activation_key_file",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "ca_bundle",
    "memory_target",
    "state_disk_max",
    "executions_max",
    "bytes_per_second",
    "failures_max",
    "stalled_after_seconds",
    "name",
    "run_as",
    "telemetry_listen",
    "otlp_endpoint",
    "otlp_interval_seconds",
    "otlp_headers_file",
    "release_keys",
    "update_trial_seconds",
    "nfs.connections",
    "nfs.mount_port",
    "nfs.privileged_ports",
    "nfs.requests_max",
    "nfs.operations_per_second",
    "nfs.users",
    "nfs.groups",
    "efs.addresses",
    "s3.object_max",
    "s3.requests_max",
    "s3.requests_per_second",
    "s3.server_side_encryption",
    "s3.kms_key_id",
    "s3.bucket_key",
    "s3.acl",
    "s3.requester_pays",
    "log.level",
    "log.format",
    "log.output",
];

/// Members that are on or off.
const SWITCHES: &[&str] = &["s3.bucket_key", "s3.requester_pays"];

/// Variables that other programs know too. They count where nothing else is said; the first one
/// that is not empty.
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

/// A configuration file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read configuration file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Larger than any sensible configuration.
    #[error("configuration file {path} is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not TOML. Holds no line of the file: it may contain a key.
    #[error("configuration file {path} is not valid TOML, line {line}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser expected.
        message: String,
    },
}

/// Values given one by one: by flags, or by a program that embeds the agent.
#[derive(Clone, Default)]
pub struct Overrides(BTreeMap<&'static str, String>);

/// Names only: values may be secrets.
impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Overrides {
    /// Sets a member, named as in the file (`nfs.connections`), if there is a value.
    ///
    /// # Errors
    /// If no member has this name.
    pub fn set(
        mut self,
        member: &str,
        value: Option<impl Into<String>>,
    ) -> Result<Self, ConfigFaults> {
        let known = MEMBERS
            .iter()
            .find(|known| **known == member)
            .ok_or_else(|| ConfigFaults(vec![format!("{member}: no such setting")]))?;
        if let Some(value) = value {
            self.0.insert(known, value.into());
        }
        Ok(self)
    }
}

/// A value and where it came from, for error texts.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) value: String,
    pub(super) origin: String,
}

/// All layers, laid over each other but not validated.
#[derive(Clone, Default)]
pub struct Layers {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) faults: Vec<String>,
}

/// Shows no values: one of them may be an activation key.
impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}

impl Layers {
    /// Lays `flags` over `environment` over the file, if one is named.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read or is not TOML.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Overrides,
    ) -> Result<Self, ReadError> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let mut layers = Self::default();
        layers.add_conventional(&environment);
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.add_environment(&environment);
        for (member, value) in flags.0 {
            let origin = format!("flag --{}", member.replace(['.', '_'], "-"));
            layers.given.insert(member, Given { value, origin });
        }
        Ok(layers)
    }

    /// What a configuration file has; `origin` stands for its name in faults.
    pub(crate) fn from_table(origin: &str, table: toml::Table) -> Self {
        let mut layers = Self::default();
        layers.add_table("", table, origin);
        layers
    }

    /// Values by their names in the file (`nfs.connections`), all from one place; `origin` names it in
    /// faults. Names that are none are faults.
    pub(crate) fn from_values(
        origin: &str,
        values: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut layers = Self::default();
        for (name, value) in values {
            match MEMBERS.iter().find(|member| **member == name) {
                Some(member) => {
                    let origin = origin.to_owned();
                    layers.given.insert(member, Given { value, origin });
                }
                None => layers
                    .faults
                    .push(format!("{name} ({origin}): no such setting")),
            }
        }
        layers
    }

    /// These values over all others; an empty one takes the member away. `origin` names them in faults.
    pub(crate) fn with(mut self, origin: &str, values: Vec<(&str, &str)>) -> Self {
        for (name, value) in values {
            let Some(member) = MEMBERS.iter().find(|member| **member == name) else {
                continue;
            };
            if value.is_empty() {
                self.given.remove(member);
                continue;
            }
            let (value, origin) = (value.to_owned(), origin.to_owned());
            self.given.insert(member, Given { value, origin });
        }
        self
    }

    /// A value as it was given; empty if it was not.
    pub(crate) fn value(&self, member: &str) -> &str {
        let given = self.given.get(member);
        given.map_or("", |given| given.value.as_str())
    }

    /// The state directory, without a check of anything else: a health check needs no more.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        let given = self.given.get("state_dir");
        PathBuf::from(given.map_or(STATE_DIR, |given| given.value.as_str()))
    }

    fn add_conventional(&mut self, environment: &BTreeMap<String, String>) {
        for (member, names) in CONVENTIONAL {
            let found = names.iter().find_map(|name| {
                let value = environment.get(*name).filter(|value| !value.is_empty())?;
                Some(Given {
                    value: value.clone(),
                    origin: format!("variable {name}"),
                })
            });
            if let Some(given) = found {
                self.given.insert(member, given);
            }
        }
    }

    fn add_environment(&mut self, environment: &BTreeMap<String, String>) {
        for member in MEMBERS {
            let name = format!(
                "{VARIABLE_PREFIX}{}",
                member.replace('.', "_").to_ascii_uppercase()
            );
            // An empty variable counts as absent: it is how one is unset in compose files.
            if let Some(value) = environment.get(&name).filter(|value| !value.is_empty()) {
                let given = Given {
                    value: value.clone(),
                    origin: format!("variable {name}"),
                };
                self.given.insert(member, given);
            }
        }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ReadError> {
        let failed = |source| ReadError::File {
            path: path.to_owned(),
            source,
        };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > FILE_BYTES_MAX {
            return Err(ReadError::TooLarge {
                path: path.to_owned(),
            });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            ReadError::Syntax {
                path: path.to_owned(),
                line: text
                    .bytes()
                    .take(offset)
                    .filter(|byte| *byte == b'\n')
                    .count()
                    + 1,
                message: error.message().to_owned(),
            }
        })?;
        self.add_table("", table, &format!("file {}", path.display()));
        Ok(())
    }

    fn add_table(&mut self, prefix: &str, table: toml::Table, origin: &str) {
        for (name, value) in table {
            let name = format!("{prefix}{name}");
            let known = MEMBERS.iter().find(|member| **member == name);
            let is_table = MEMBERS
                .iter()
                .any(|member| member.starts_with(&format!("{name}.")));
            let value = match (known, value) {
                (None, toml::Value::Table(inner)) if is_table => {
                    self.add_table(&format!("{name}."), inner, origin);
                    continue;
                }
                (Some(member), toml::Value::Table(inner)) if maps::MEMBERS.contains(member) => {
                    let (text, faults) = maps::text(inner);
                    let faults = faults.into_iter();
                    let fault = |fault: String| format!("{name} ({origin}): {fault}");
                    self.faults.extend(faults.map(fault));
                    text
                }
                (Some(_), toml::Value::String(text)) => text,
                (Some(_), toml::Value::Integer(number)) => number.to_string(),
                (Some(member), toml::Value::Boolean(on)) if SWITCHES.contains(member) => {
                    on.to_string()
                }
                (Some(_), _) => {
                    let fault = format!("{name} ({origin}): must be a string or a whole number");
                    self.faults.push(fault);
                    continue;
                }
                (None, _) => {
                    self.faults
                        .push(format!("{name} ({origin}): no such setting"));
                    continue;
                }
            };
            if let Some(member) = known {
                let origin = origin.to_owned();
                self.given.insert(member, Given { value, origin });
            }
        }
    }
}
