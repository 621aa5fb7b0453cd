//! From what a seed says to the files that carry it: a pure function.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::seed::{Interface, NONE, Seed};
use crate::appliance::{MachineFile, NetworkSettings, agent_file, network_files};
use crate::config::Layers;

const CONTROL_CA: &str = "etc/datasync/control-ca.pem";
const STORES_CA: &str = "etc/datasync/stores-ca.pem";
const RELEASE_KEY: &str = "etc/datasync/release-keys.d/seed.pem";
/// Ports that the firewall admits: a part of nftables' rules.
const ADMITTED: &str = "etc/datasync/admitted.nft";
const HOSTNAME: &str = "etc/hostname";
const HOSTNAME_MAX: usize = 64;
/// The image's kernel names its first interface so.
const FIRST_INTERFACE: &str = "eth0";

/// What is known of the machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    /// Network settings that were made before.
    pub(super) before: Option<NetworkSettings>,
    /// The agent's configuration file, if there is one.
    pub(super) agent_before: Option<String>,
    /// Names and hardware addresses.
    pub(super) interfaces: Vec<(String, String)>,
    /// The group of the agent's user.
    pub(super) agent_group: Option<u32>,
}

/// All files that `seed` asks for. What it says nothing of stays as it is.
///
/// # Errors
/// Everything that is wrong: then nothing of the seed may be used.
pub(super) fn plan(seed: &Seed, machine: &Machine) -> Result<Vec<MachineFile>, Vec<String>> {
    let mut faults = Vec::new();
    let mut files = Vec::new();
    let public = |path, content: String| MachineFile {
        path,
        content,
        mode: 0o644,
        group: None,
    };
    if let Some(name) = &seed.hostname {
        match hostname(name) {
            Ok(()) => files.push(public(HOSTNAME, format!("{name}\n"))),
            Err(fault) => faults.push(fault),
        }
    }
    match network(seed, machine) {
        Ok(None) => {}
        Ok(Some(settings)) => match network_files(&settings) {
            Ok(more) => files.extend(more),
            Err(error) => faults.push(format!("network: {error}")),
        },
        Err(fault) => faults.push(format!("network: {fault}")),
    }
    for (path, pem) in [
        (CONTROL_CA, &seed.control_ca),
        (STORES_CA, &seed.ca_bundle),
        (RELEASE_KEY, &seed.release_key),
    ] {
        files.extend(pem.clone().map(|pem| public(path, pem)));
    }
    if let Some(ports) = &seed.admit_tcp {
        files.push(public(ADMITTED, admitted(ports)));
    }
    match agent(seed, machine.agent_before.as_deref()) {
        Ok(None) => {}
        Ok(Some(members)) => files.push(agent_file(&members, machine.agent_group)),
        Err(more) => faults.extend(more),
    }
    if faults.is_empty() {
        Ok(files)
    } else {
        Err(faults)
    }
}

fn hostname(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-')
    };
    if name.len() <= HOSTNAME_MAX && name.split('.').all(is_label) {
        return Ok(());
    }
    Err(format!(
        "hostname: must have letters, digits, dots and hyphens, at most {HOSTNAME_MAX}"
    ))
}

/// `None` if the seed says nothing of the network.
fn network(seed: &Seed, machine: &Machine) -> Result<Option<NetworkSettings>, String> {
    let says_nothing = seed.interface.is_none()
        && seed.dns.is_empty()
        && seed.time.is_empty()
        && seed.proxy.is_none()
        && seed.no_proxy.is_none();
    if says_nothing {
        return Ok(None);
    }
    let mut settings = machine.before.clone().unwrap_or_default();
    if settings.interface.is_empty() {
        FIRST_INTERFACE.clone_into(&mut settings.interface);
    }
    if let Some(interface) = &seed.interface {
        if interface.gateway.is_some() && interface.address.is_none() {
            return Err(
                "gateway: give the address with it; without one, DHCP names the gateway".to_owned(),
            );
        }
        settings.interface = named(interface, &machine.interfaces)?.unwrap_or(settings.interface);
        settings.is_static = interface.address.is_some();
        settings.address = interface.address.clone().unwrap_or_default();
        settings.gateway = interface.gateway.clone().unwrap_or_default();
        settings.dns.clear();
    }
    if !seed.dns.is_empty() {
        settings.dns.clone_from(&seed.dns);
    }
    if !seed.time.is_empty() {
        settings.time.clone_from(&seed.time);
    }
    if let Some(proxy) = &seed.proxy {
        set_proxy(&mut settings, proxy);
    }
    if let Some(no_proxy) = &seed.no_proxy {
        settings.no_proxy = given(no_proxy).to_owned();
    }
    settings.check()?;
    Ok(Some(settings))
}

/// The name of the interface that is meant; `None` if any would do.
fn named(wanted: &Interface, there: &[(String, String)]) -> Result<Option<String>, String> {
    let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(mac) = &wanted.mac {
        let found = there
            .iter()
            .find(|(_, address)| address.eq_ignore_ascii_case(mac));
        return match found {
            Some((name, _)) => Ok(Some(name.clone())),
            None => Err(format!("no interface has the address {mac}")),
        };
    }
    match &wanted.name {
        Some(name) if !names.is_empty() && !names.contains(&name.as_str()) => Err(format!(
            "no interface {name} is here, only {}",
            names.join(", ")
        )),
        name => Ok(name.clone()),
    }
}

/// What is set to [`NONE`] becomes empty.
fn given(value: &str) -> &str {
    if value == NONE { "" } else { value }
}

/// Takes a URL apart as the console has it.
fn set_proxy(settings: &mut NetworkSettings, url: &str) {
    if given(url).is_empty() {
        settings.proxy.clear();
        settings.proxy_user.clear();
        settings.proxy_password.clear();
        return;
    }
    let bare = url.strip_prefix("http://").unwrap_or(url);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, host) = bare.rsplit_once('@').unwrap_or(("", bare));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    settings.proxy = format!("http://{}", host.trim_end_matches('/'));
    settings.proxy_user = decoded(user);
    settings.proxy_password = decoded(password);
}

fn admitted(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let note = "# Written by datasync-agent from a seed.\n";
    match ports.join(", ").as_str() {
        "" => note.to_owned(),
        all => format!("{note}add element inet datasync admitted {{ {all} }}\n"),
    }
}

/// The members of `agent.toml`: those of `before` with the seed's over them, checked as the agent itself
/// will check them; `None` if the seed says nothing of the agent. What is no TOML is replaced.
fn agent(seed: &Seed, before: Option<&str>) -> Result<Option<toml::Table>, Vec<String>> {
    let mut members = seed.agent.clone();
    if members.is_empty() && seed.control_ca.is_none() && seed.ca_bundle.is_none() {
        return Ok(None);
    }
    let mut table: toml::Table = before
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    if seed.control_ca.is_some() {
        if members.contains_key("control_fingerprint") {
            return Err(vec![
                "control_ca: give this or control_fingerprint, not both".to_owned(),
            ]);
        }
        table.remove("control_fingerprint");
        members.insert("control_ca".to_owned(), format!("/{CONTROL_CA}"));
    } else if members.contains_key("control_fingerprint") {
        table.remove("control_ca");
    }
    if seed.ca_bundle.is_some() {
        members.insert("ca_bundle".to_owned(), format!("/{STORES_CA}"));
    }
    lay_over(&mut table, members);
    match Layers::from_table("seed", checkable(&table)).validate() {
        Ok(_) => Ok(Some(table)),
        Err(faults) => Err(faults.0),
    }
}

/// `table` without the certificates that are not in their files yet; they were read.
fn checkable(table: &toml::Table) -> toml::Table {
    let mut table = table.clone();
    let is = |table: &toml::Table, name: &str, path: &str| {
        table.get(name).and_then(toml::Value::as_str) == Some(&format!("/{path}"))
    };
    if is(&table, "control_ca", CONTROL_CA) {
        table.remove("control_ca");
        let stands_for_it = toml::Value::String("0".repeat(64));
        table.insert("control_fingerprint".to_owned(), stands_for_it);
    }
    if is(&table, "ca_bundle", STORES_CA) {
        table.remove("ca_bundle");
    }
    table
}

/// Sets members of `table`; names with dots are those of inner tables.
fn lay_over(table: &mut toml::Table, members: BTreeMap<String, String>) {
    for (name, value) in members {
        let value = toml::Value::String(value);
        let Some((outer, member)) = name.split_once('.') else {
            table.insert(name, value);
            continue;
        };
        let inner = table
            .entry(outer)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        match inner {
            toml::Value::Table(inner) => {
                inner.insert(member.to_owned(), value);
            }
            other => {
                *other = toml::Value::Table(toml::Table::from_iter([(member.to_owned(), value)]))
            }
        }
    }
}

#[cfg(test)]
mod tests;
