//! From text to the typed configuration, collecting every fault.

use std::fs;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use datasync_model::{ActivationKey, Proxy};
use datasync_transfer::ServerLimits;

use super::layers::{Layers, STATE_DIR};
use super::watching::{log_format, log_level, log_output};
use super::{
    Config, ConfigFaults, ControlAddress, ControlAddresses, ControlTrust, NfsSettings,
    PrivilegedPorts, ProcessSettings, Reloaded, memory, processors, units,
};
use crate::{cgroup, link};

/// More requests than this are never in flight at one server.
const REQUESTS_MAX: usize = 320;
/// Beyond it a request per second is less than the precision of the cap.
const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;
/// What the smallest execution needs of the disk, in bytes.
const STATE_DISK_MIN: u64 = 64 << 20;
const NAME_LENGTH_MAX: usize = 64;
const LOG_LEVEL: &str = "info";

impl Layers {
    /// Checks every value and fills in the defaults.
    ///
    /// # Errors
    /// [`ConfigFaults`] lists everything that is wrong, not only the first fault.
    pub fn validate(self) -> Result<Config, ConfigFaults> {
        self.checked(Check::config)
    }

    /// Checks only what a process needs that runs one transfer without control; `log_level` is the
    /// default.
    ///
    /// # Errors
    /// As [`Layers::validate`].
    pub(crate) fn validate_process(self, log_level: &str) -> Result<ProcessSettings, ConfigFaults> {
        self.checked(|check| check.process(1, log_level))
    }

    /// Checks only what can be changed while the agent runs.
    ///
    /// # Errors
    /// As [`Layers::validate`].
    pub fn validate_reloaded(self) -> Result<Reloaded, ConfigFaults> {
        self.checked(|check| {
            let log_level = check.or("log.level", LOG_LEVEL, log_level);
            let owners = check.owners();
            Some(Reloaded {
                log_level: log_level?,
                owners,
            })
        })
    }

    pub(super) fn checked<T>(
        self,
        read: impl FnOnce(&mut Check) -> Option<T>,
    ) -> Result<T, ConfigFaults> {
        let mut check = Check {
            faults: self.faults.clone(),
            layers: self,
        };
        match read(&mut check) {
            Some(value) if check.faults.is_empty() => Ok(value),
            _ => Err(ConfigFaults(check.faults)),
        }
    }
}

pub(super) struct Check {
    layers: Layers,
    faults: Vec<String>,
}

impl Check {
    /// `None` only where a fault was noted.
    fn config(&mut self) -> Option<Config> {
        let control = self.control();
        let control_trust = self.trust();
        let activation_key = self.activation_key();
        let activation_listen = self.or("activation_listen", "0.0.0.0:80", |text| {
            text.parse().map_err(|_| {
                format!("{text:?} is not address:port, for example 0.0.0.0:80 or [::]:80")
            })
        });
        let executions_max: Option<usize> =
            self.or("executions_max", "1", |text| number(text, 1, 64));
        let bytes_per_second = self.or("bytes_per_second", "-1", units::parse_rate);
        let process = self.process(executions_max.unwrap_or(1), LOG_LEVEL);
        let name = self.optional("name", name);
        let telemetry_listen = self.telemetry_listen();
        let ca_bundle = process.as_ref().and_then(|p| p.egress.ca_bundle.clone());
        let otlp = self.otlp(ca_bundle);
        let log_output = self.or("log.output", "stderr", log_output);
        let updates = self.updates();
        let state_dir = self.or("state_dir", STATE_DIR, |text| match PathBuf::from(text) {
            path if path.as_os_str().is_empty() => Err("must not be empty".to_owned()),
            path => Ok(path),
        });
        Some(Config {
            state_dir: state_dir?,
            control: control?,
            control_trust: control_trust?,
            activation_listen: activation_listen?,
            activation_key,
            executions_max: executions_max?,
            bytes_per_second: bytes_per_second?,
            process: process?,
            name,
            telemetry_listen,
            otlp,
            log_output: log_output?,
            updates: updates?,
        })
    }

    /// `None` only where a fault was noted.
    fn process(&mut self, executions_max: usize, level_default: &str) -> Option<ProcessSettings> {
        let memory_target_bytes = self.memory_target(executions_max);
        let disk_max = |text: &str| state_disk_max(text, executions_max);
        let state_disk_max_bytes = self.optional("state_disk_max", disk_max);
        let connections = processors::default_connections(processors::usable()).to_string();
        let connections = self.or("nfs.connections", &connections, |text| number(text, 1, 64));
        let mount_port = self.optional("nfs.mount_port", port);
        let failures_max = self.or("failures_max", "1000000", whole_number);
        let stalled_after = self.or("stalled_after_seconds", "900", stalled_after);
        let nfs_limits = self.limits("nfs.requests_max", "nfs.operations_per_second");
        let privileged_ports = self.or("nfs.privileged_ports", "prefer", privileged_ports);
        let owners = self.owners();
        let efs_addresses = self.efs_addresses();
        let s3 = self.s3();
        let egress = self.egress();
        let log_level = self.or("log.level", level_default, log_level);
        let log_format = self.or("log.format", "text", log_format);
        Some(ProcessSettings {
            memory_target_bytes: memory_target_bytes?,
            failures_max: NonZeroU64::new(failures_max?),
            state_disk_max_bytes,
            stalled_after: stalled_after?,
            nfs: NfsSettings {
                connections: connections?,
                mount_port,
                privileged_ports: privileged_ports?,
                limits: nfs_limits,
                owners: owners.into(),
            },
            efs_addresses,
            s3,
            egress,
            log_level: log_level?,
            log_format: log_format?,
        })
    }

    pub(super) fn limits(
        &mut self,
        requests_max: &'static str,
        per_second: &'static str,
    ) -> ServerLimits {
        let number = |text: &str| number(text, 1, REQUESTS_MAX);
        ServerLimits {
            in_flight_max: self.optional(requests_max, number),
            operations_per_second: self
                .optional(per_second, requests_per_second)
                .and_then(NonZeroU32::new),
        }
    }

    pub(super) fn fault(&mut self, member: &str, what: &str) {
        self.faults.push(match self.layers.given.get(member) {
            Some(given) => format!("{member} ({}): {what}", given.origin),
            None => format!("{member}: {what}"),
        });
    }

    pub(super) fn text(&self, member: &str) -> Option<String> {
        self.layers
            .given
            .get(member)
            .map(|given| given.value.clone())
    }

    pub(super) fn optional<T>(
        &mut self,
        member: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(member)?;
        parse(&text).map_err(|what| self.fault(member, &what)).ok()
    }

    pub(super) fn or<T>(
        &mut self,
        member: &'static str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(member).unwrap_or_else(|| default.to_owned());
        parse(&text).map_err(|what| self.fault(member, &what)).ok()
    }

    fn control(&mut self) -> Option<ControlAddresses> {
        let name = self.optional("control_server_name", server_name);
        let Some(text) = self.text("control") else {
            self.fault("control", "missing: give host:port of the control plane");
            return None;
        };
        let addresses: Option<Vec<_>> = text
            .split(',')
            .map(|one| self.control_address(one.trim(), name.as_deref()))
            .collect();
        ControlAddresses::new(addresses?)
    }

    fn control_address(&mut self, text: &str, name: Option<&str>) -> Option<ControlAddress> {
        let Some((host, port)) = split_address(text) else {
            let what = format!("{text:?} is not host:port, for example control.example.com:9443");
            self.fault("control", &what);
            return None;
        };
        if let Err(what) = server_name(&host) {
            self.fault("control", &what);
            return None;
        }
        let no_proxy = self.text("no_proxy").unwrap_or_default();
        let given = self.text("https_proxy");
        Some(ControlAddress {
            // What is wrong with it is told with the settings of the process.
            proxy: given.and_then(|url| Proxy::new(&url, &no_proxy).ok()),
            server_name: name.map_or_else(|| host.clone(), str::to_owned),
            host,
            port,
        })
    }

    fn trust(&mut self) -> Option<ControlTrust> {
        match (self.text("control_ca"), self.text("control_fingerprint")) {
            (Some(path), None) => {
                let path = PathBuf::from(path);
                match link::read_ca_file(&path) {
                    Ok(_) => Some(ControlTrust::CaFile(path)),
                    Err(error) => {
                        self.fault("control_ca", &error.to_string());
                        None
                    }
                }
            }
            (None, Some(_)) => self
                .optional("control_fingerprint", fingerprint)
                .map(ControlTrust::Fingerprint),
            (Some(_), Some(_)) => {
                self.fault("control_ca", "give this or control_fingerprint, not both");
                None
            }
            (None, None) => {
                let what = "missing: give the PEM file of control's CA, or control_fingerprint \
                            (datasync-control ca show prints both)";
                self.fault("control_ca", what);
                None
            }
        }
    }

    fn activation_key(&mut self) -> Option<ActivationKey> {
        let parse = |text: &str| ActivationKey::from_str(text.trim()).map_err(|e| e.to_string());
        if self.text("activation_key").is_some() && self.text("activation_key_file").is_some() {
            self.fault(
                "activation_key",
                "give this or activation_key_file, not both",
            );
            return None;
        }
        self.optional("activation_key", parse).or_else(|| {
            self.optional("activation_key_file", |path| {
                let text =
                    fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
                parse(&text)
            })
        })
    }

    fn memory_target(&mut self, executions_max: usize) -> Option<u64> {
        if self.text("memory_target").is_none() {
            let total = crate::host::memory_total_bytes();
            let target = memory::default_target(cgroup::memory_limit_bytes(), total);
            self.check_memory(target, executions_max);
            return Some(target);
        }
        let target = self.optional("memory_target", units::parse_bytes)?;
        self.check_memory(target, executions_max);
        Some(target)
    }

    fn check_memory(&mut self, target: u64, executions_max: usize) {
        let needed = memory::PER_EXECUTION_MIN.saturating_mul(executions_max as u64);
        if target < needed {
            let what = format!(
                "{target} bytes are too few: each of {executions_max} executions at once \
                 (executions_max) needs {} MiB, together {} MiB",
                memory::PER_EXECUTION_MIN >> 20,
                needed >> 20
            );
            self.fault("memory_target", &what);
        }
        if let Err(what) = memory::check_room(target, cgroup::memory_limit_bytes()) {
            self.fault("memory_target", &what);
        }
    }
}

/// `host:port`, `address:port`, `[v6]:port`.
fn split_address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None if host.is_empty() || host.contains([':', '/']) => return None,
        None => host.to_owned(),
    };
    Some((host, port))
}

fn server_name(text: &str) -> Result<String, String> {
    rustls::pki_types::ServerName::try_from(text)
        .map(|_| text.to_owned())
        .map_err(|_| format!("{text:?} is neither a host name nor an address"))
}

fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    let digits = digits.strip_prefix("SHA256").unwrap_or(&digits);
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes)
        .map(|()| bytes)
        .map_err(|_| "must be 64 hexadecimal digits: the SHA-256 of the CA certificate".to_owned())
}

fn number(text: &str, min: usize, max: usize) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| format!("{text:?} is not a number from {min} to {max}"))
}

fn whole_number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a whole number; 0 is no limit"))
}

/// Less than ten minutes a store may take for one request.
fn stalled_after(text: &str) -> Result<Option<Duration>, String> {
    match text.parse::<u64>() {
        Ok(0) => Ok(None),
        Ok(seconds @ 900..=86_400) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(format!(
            "{text:?} is not a number of seconds from 900 to 86400, or 0 for never"
        )),
    }
}

fn requests_per_second(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| *number <= REQUESTS_PER_SECOND_MAX)
        .ok_or_else(|| {
            format!(
                "{text:?} is not a number from 1 to {REQUESTS_PER_SECOND_MAX}, or 0 for no limit"
            )
        })
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("{text:?} is not a port from 1 to {}", u16::MAX))
}

fn state_disk_max(text: &str, executions_max: usize) -> Result<u64, String> {
    let bytes = units::parse_bytes(text)?;
    let needed = STATE_DISK_MIN.saturating_mul(executions_max as u64);
    if bytes >= needed {
        return Ok(bytes);
    }
    Err(format!(
        "{text:?} is too little: each of {executions_max} executions at once (executions_max) needs \
         {} MiB, together {} MiB",
        STATE_DISK_MIN >> 20,
        needed >> 20
    ))
}

pub(super) fn object_max(text: &str) -> Result<u64, String> {
    let bytes = units::parse_bytes(text)?;
    if (1..=datasync_s3::OBJECT_MAX).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!(
        "{text:?} must be from 1 byte to {} GiB: multipart uploads have at most 10,000 parts of 5 GiB",
        datasync_s3::OBJECT_MAX >> 30
    ))
}

fn privileged_ports(text: &str) -> Result<PrivilegedPorts, String> {
    match text {
        "prefer" => Ok(PrivilegedPorts::Prefer),
        "never" => Ok(PrivilegedPorts::Never),
        "require" => Ok(PrivilegedPorts::Require),
        _ => Err(format!("{text:?} is none of prefer, never, require")),
    }
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " +=._:@/-".contains(c);
    if text.is_empty() || text.len() > NAME_LENGTH_MAX || !text.chars().all(allowed) {
        return Err(format!(
            "must have 1 to {NAME_LENGTH_MAX} letters, digits, spaces or any of +=._:@/-"
        ));
    }
    Ok(text.to_owned())
}
