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
mod tests {
    use super::super::seed::tests::{pem, properties};
    use super::*;
    use crate::appliance::AGENT;
    use crate::config::Overrides;

    fn seed(given: &[(&str, &str)]) -> Seed {
        let mut faults = Vec::new();
        let seed = Seed::read(properties(given), &mut faults);
        assert_eq!(faults, Vec::<String>::new());
        seed
    }

    fn machine() -> Machine {
        let interface = ("eth0".to_owned(), "52:54:00:12:34:56".to_owned());
        Machine {
            before: None,
            agent_before: None,
            interfaces: vec![interface],
            agent_group: Some(998),
        }
    }

    fn content<'a>(files: &'a [MachineFile], path: &str) -> &'a MachineFile {
        files.iter().find(|file| file.path == path).unwrap()
    }

    #[test]
    fn a_gateway_comes_with_an_address() {
        let faults = plan(&seed(&[("gateway", "192.0.2.1")]), &machine()).unwrap_err();
        assert!(
            faults.concat().contains("gateway: give the address"),
            "{faults:?}"
        );
    }

    #[test]
    fn a_whole_seed() {
        let seed = seed(&[
            ("activation_key", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"),
            ("address", "192.0.2.10/24"),
            ("admit_tcp", "9464,9465"),
            ("ca_bundle", &pem()),
            ("control", "control.example:9443"),
            ("control_ca", &pem()),
            ("dns", "192.0.2.53"),
            ("gateway", "192.0.2.1"),
            ("hostname", "nas-agent.example"),
            ("nfs.connections", "2"),
            ("no_proxy", "store.internal"),
            ("proxy", "http://me:a%2Fb@proxy:3128/"),
            ("time_servers", "time.example"),
        ]);
        let files = plan(&seed, &machine()).unwrap();
        let agent = content(&files, AGENT);
        assert_eq!((agent.mode, agent.group), (0o640, Some(998)));
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("agent.toml");
        std::fs::write(
            &path,
            agent
                .content
                .replace("/etc", &format!("{}/etc", scratch.path().display())),
        )
        .unwrap();
        std::fs::create_dir_all(scratch.path().join("etc/datasync")).unwrap();
        for file in [CONTROL_CA, STORES_CA] {
            std::fs::write(scratch.path().join(file), &content(&files, file).content).unwrap();
        }
        let config = Layers::read(Some(&path), [], Overrides::default())
            .unwrap()
            .validate()
            .unwrap();
        assert_eq!(config.control.to_string(), "control.example:9443");
        assert_eq!(config.process.nfs.connections, 2);
        assert!(config.activation_key.is_some() && config.process.egress.ca_bundle.is_some());
        assert_eq!(content(&files, HOSTNAME).content, "nas-agent.example\n");
        let admitted = &content(&files, ADMITTED).content;
        assert!(admitted.contains("admitted { 9464, 9465 }"), "{admitted}");
        let proxy = content(&files, "etc/datasync/proxy.env");
        assert!(
            proxy.content.contains("http://me:a%2Fb@proxy:3128\""),
            "{}",
            proxy.content
        );
        let network = content(&files, "etc/systemd/network/05-datasync-console.network");
        assert!(
            network.content.contains("Name=eth0\n"),
            "{}",
            network.content
        );
        assert!(
            network.content.contains("Address=192.0.2.10/24\n"),
            "{}",
            network.content
        );
        let secret = ["AAAAA-BBBBB", "a%2Fb"];
        for file in &files {
            let is_secret = secret.iter().any(|secret| file.content.contains(secret));
            assert!(!is_secret || file.mode & 0o007 == 0, "{}", file.path);
            assert!(!format!("{file:?}").contains("AAAAA"));
        }
    }

    #[test]
    fn what_a_seed_says_nothing_of_is_left_alone() {
        let files = plan(&seed(&[("hostname", "a")]), &machine()).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(plan(&Seed::default(), &machine()), Ok(Vec::new()));
        let before = NetworkSettings {
            interface: "eth0".to_owned(),
            is_static: true,
            address: "192.0.2.7/24".to_owned(),
            ..NetworkSettings::default()
        };
        let machine = Machine {
            before: Some(before),
            ..machine()
        };
        let files = plan(&seed(&[("proxy", "proxy:3128")]), &machine).unwrap();
        let network = content(&files, "etc/systemd/network/05-datasync-console.network");
        assert!(
            network.content.contains("192.0.2.7/24"),
            "{}",
            network.content
        );
    }

    #[test]
    fn a_later_seed_changes_what_it_names_and_nothing_else() {
        let ca = format!("/{CONTROL_CA}");
        let before = format!(
            "control = 'c:1'\ncontrol_ca = '{ca}'\nname = 'old'\n[nfs]\nconnections = 2\nmount_port = 20048\n"
        );
        let machine = Machine {
            agent_before: Some(before),
            ..machine()
        };
        let after = |given: &[(&str, &str)]| {
            let files = plan(&seed(given), &machine).unwrap();
            content(&files, AGENT)
                .content
                .parse::<toml::Table>()
                .unwrap()
        };
        let named = after(&[("name", "new"), ("nfs.connections", "4")]);
        assert_eq!(named["control"].as_str(), Some("c:1"));
        assert_eq!(named["control_ca"].as_str(), Some(ca.as_str()));
        assert_eq!(named["name"].as_str(), Some("new"));
        assert_eq!(named["nfs"]["connections"].as_str(), Some("4"));
        assert_eq!(named["nfs"]["mount_port"].as_integer(), Some(20048));
        let trusting = after(&[("control_fingerprint", &"ab".repeat(32))]);
        assert!(!trusting.contains_key("control_ca"));
        assert_eq!(trusting["name"].as_str(), Some("old"));
        assert!(plan(&seed(&[("nfs.connections", "many")]), &machine).is_err());
    }

    #[test]
    fn what_was_set_is_taken_back() {
        let before = NetworkSettings {
            proxy: "http://proxy:3128".to_owned(),
            proxy_password: "canary".to_owned(),
            no_proxy: "internal".to_owned(),
            interface: "eth0".to_owned(),
            ..NetworkSettings::default()
        };
        let machine = Machine {
            before: Some(before),
            ..machine()
        };
        let none = seed(&[
            ("admit_tcp", "none"),
            ("proxy", "none"),
            ("no_proxy", "none"),
        ]);
        let files = plan(&none, &machine).unwrap();
        assert!(!content(&files, ADMITTED).content.contains("add element"));
        for file in &files {
            assert!(!file.content.contains("3128") && !file.content.contains("canary"));
        }
    }

    #[test]
    fn a_key_for_releases_goes_where_the_agent_looks_for_it() {
        let pem = "-----BEGIN PUBLIC KEY----- MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE= \
                   -----END PUBLIC KEY-----";
        let files = plan(&seed(&[("release_key", pem)]), &machine()).unwrap();
        let key = &content(&files, RELEASE_KEY).content;
        assert_eq!(key.lines().count(), 3, "{key}");
        let mut faults = Vec::new();
        Seed::read(properties(&[("release_key", "MCow")]), &mut faults);
        assert!(
            faults[0].starts_with("release_key: no public key"),
            "{faults:?}"
        );
    }

    #[test]
    fn an_interface_is_found_by_its_hardware_address() {
        let by_mac = |mac: &str| Seed {
            interface: Some(Interface {
                mac: Some(mac.to_owned()),
                ..Interface::default()
            }),
            ..Seed::default()
        };
        let files = plan(&by_mac("52:54:00:12:34:56"), &machine()).unwrap();
        let network = content(&files, "etc/systemd/network/05-datasync-console.network");
        assert!(
            network.content.contains("Name=eth0\n\n[Network]\nDHCP=yes"),
            "{}",
            network.content
        );
        let faults = plan(&by_mac("00:00:00:00:00:01"), &machine()).unwrap_err();
        assert!(faults[0].contains("00:00:00:00:00:01"), "{faults:?}");
    }

    #[test]
    fn every_fault_is_named_and_nothing_is_written() {
        let bad = seed(&[
            ("address", "192.0.2.10"),
            ("contrl", "x"),
            ("control", "nonsense"),
            ("hostname", "a b"),
        ]);
        let faults = plan(&bad, &machine()).unwrap_err().join("\n");
        for told in [
            "hostname: ",
            "network: ",
            "contrl (seed): no such setting",
            "control (seed): ",
            "control_ca: missing",
        ] {
            assert!(faults.contains(told), "{faults}");
        }
        let both = seed(&[
            ("control", "c:1"),
            ("control_ca", &pem()),
            ("control_fingerprint", "00"),
        ]);
        assert!(plan(&both, &machine()).unwrap_err()[0].contains("not both"));
        let nowhere = seed(&[("interface", "ens3"), ("address", "192.0.2.10/24")]);
        let faults = plan(&nowhere, &machine()).unwrap_err();
        assert_eq!(faults, ["network: no interface ens3 is here, only eth0"]);
    }
}
