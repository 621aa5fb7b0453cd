//! A seed in the form that cloud-init calls NoCloud: `meta-data`, `user-data`, `network-config`.
//!
//! Read are the members that say something of the machine, and `datasync` in `user-data`. What else
//! cloud-init would do is not done: no users, no packages, no commands.

use std::collections::BTreeMap;

use super::netconfig;
use super::seed::{Properties, Seed};
use super::yaml::Node;

/// The three documents, as they lie on the disk.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Documents {
    pub(super) meta_data: Option<String>,
    pub(super) user_data: Option<String>,
    pub(super) network_config: Option<String>,
}

/// What they say, or everything that is wrong with them.
pub(super) fn read(documents: &Documents) -> Result<Seed, Vec<String>> {
    let mut faults = Vec::new();
    let mut properties = Properties::new();
    for (what, document, take) in [
        ("meta-data", &documents.meta_data, meta_data as Take),
        ("user-data", &documents.user_data, user_data as Take),
    ] {
        let read = mapping(what, document.as_deref());
        if let Err(fault) = read.and_then(|map| take(map, &mut properties)) {
            faults.push(fault);
        }
    }
    let mut seed = Seed::read(properties, &mut faults);
    if let Some(text) = &documents.network_config {
        match Node::parse(text)
            .map_err(|what| format!("network-config: {what}"))
            .and_then(netconfig::read)
        {
            Ok(network) => {
                seed.interface = Some(network.interface);
                seed.dns = network.dns;
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(seed)
    } else {
        Err(faults)
    }
}

type Map = BTreeMap<String, Node>;
type Take = fn(Map, &mut Properties) -> Result<(), String>;

fn mapping(what: &str, document: Option<&str>) -> Result<Map, String> {
    let Some(text) = document else {
        return Ok(Map::new());
    };
    if text.starts_with("#!") || text.starts_with("Content-Type:") || text.starts_with("MIME-") {
        return Err(format!(
            "{what}: only YAML is read (#cloud-config); nothing in a seed is executed"
        ));
    }
    Node::parse(text)
        .and_then(|node| node.into_map("the whole"))
        .map_err(|error| format!("{what}: {error}"))
}

fn meta_data(mut map: Map, properties: &mut Properties) -> Result<(), String> {
    for (from, to) in [
        ("instance-id", "instance_id"),
        ("hostname", "hostname"),
        ("local-hostname", "hostname"),
    ] {
        if let Some(node) = map.remove(from) {
            let text = node.into_text(&format!("meta-data: {from}"))?;
            properties.insert(to.to_owned(), text);
        }
    }
    Ok(())
}

fn user_data(mut map: Map, properties: &mut Properties) -> Result<(), String> {
    if let Some(node) = map.remove("hostname") {
        let text = node.into_text("user-data: hostname")?;
        properties.insert("hostname".to_owned(), text);
    }
    if let Some(node) = map.remove("ntp") {
        let mut ntp = node.into_map("user-data: ntp")?;
        let mut all = Vec::new();
        for from in ["servers", "pools"] {
            if let Some(node) = ntp.remove(from) {
                all.push(node.into_joined(&format!("user-data: ntp: {from}"))?);
            }
        }
        properties.insert("time_servers".to_owned(), all.join(","));
    }
    if let Some(node) = map.remove("datasync") {
        flatten("", node.into_map("user-data: datasync")?, properties)?;
    }
    Ok(())
}

/// `nfs: {connections: 2}` is `nfs.connections`, as in `agent.toml`.
fn flatten(prefix: &str, map: Map, properties: &mut Properties) -> Result<(), String> {
    for (name, node) in map {
        let name = format!("{prefix}{name}");
        match node {
            Node::Map(inner) if prefix.is_empty() => {
                flatten(&format!("{name}."), inner, properties)?;
            }
            node => {
                let text = node.into_joined(&format!("user-data: datasync: {name}"))?;
                properties.insert(name, text);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::seed::tests::{pem, properties};
    use super::*;

    fn documents(meta_data: &str, user_data: &str) -> Documents {
        Documents {
            meta_data: Some(meta_data.to_owned()),
            user_data: Some(user_data.to_owned()),
            network_config: None,
        }
    }

    #[test]
    fn everything_that_the_appliance_needs() {
        let pem = pem();
        let indented = pem.replace('\n', "\n    ");
        let given = format!(
            "#cloud-config\nusers: [default]\nruncmd: [[rm, -rf, /]]\nntp:\n  servers: [time.example]\n\
             datasync:\n  control: control.example:9443\n  control_ca: |\n    {indented}\n  \
             activation_key: AAAAA-BBBBB-CCCCC-DDDDD-EEEEE\n  proxy: http://me:a%2Fb@proxy:3128\n  \
             no_proxy: [store.internal, 10.0.0.0/8]\n  admit_tcp: [9464]\n  nfs:\n    connections: 2\n"
        );
        let seed = read(&documents(
            "instance-id: i-1\nlocal-hostname: nas-agent\n",
            &given,
        ))
        .unwrap();
        assert_eq!(seed.instance.as_deref(), Some("i-1"));
        assert_eq!(seed.hostname.as_deref(), Some("nas-agent"));
        assert_eq!(seed.time, ["time.example"]);
        assert_eq!(seed.control_ca, Some(pem));
        assert_eq!(seed.proxy.as_deref(), Some("http://me:a%2Fb@proxy:3128"));
        assert_eq!(seed.no_proxy.as_deref(), Some("store.internal,10.0.0.0/8"));
        assert_eq!(seed.admit_tcp, Some(vec![9464]));
        assert_eq!(
            seed.agent,
            properties(&[
                ("control", "control.example:9443"),
                ("activation_key", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"),
                ("nfs.connections", "2"),
            ])
        );
    }

    #[test]
    fn all_faults_are_named_and_no_value_is() {
        let mut given = documents(
            "- a list\n",
            "#cloud-config\ndatasync:\n  control_ca: [s3cret]\n",
        );
        given.network_config = Some("version: 3\n".to_owned());
        let faults = read(&given).unwrap_err().join("\n");
        for told in [
            "meta-data: the whole",
            "control_ca: no certificate",
            "network-config: version",
        ] {
            assert!(faults.contains(told), "{faults}");
        }
        assert!(!faults.contains("s3cret"), "{faults}");
    }

    #[test]
    fn a_script_is_not_run() {
        let faults = read(&documents("", "#!/bin/sh\nreboot\n")).unwrap_err();
        assert!(
            faults[0].contains("nothing in a seed is executed"),
            "{faults:?}"
        );
    }
}
