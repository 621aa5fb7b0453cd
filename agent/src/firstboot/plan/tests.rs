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
