//! The machine's network: read, shown, and configured where that is the console's to do.

use std::io;
use std::path::Path;

use sysinfo::Networks;

use super::super::page::Line;
use super::steps::Steps;
use super::{Configured, World};
use crate::appliance::{self, NetworkSettings, NotReplaced};

/// What was filled in before; otherwise DHCP on the first interface.
pub(super) fn read(root: &Path) -> NetworkSettings {
    appliance::kept(root).unwrap_or_else(|| NetworkSettings {
        interface: interfaces()
            .into_iter()
            .next()
            .map_or_else(String::new, |(name, _)| name),
        ..NetworkSettings::default()
    })
}

/// What this machine uses.
pub(super) fn show(world: &World) -> Vec<Line> {
    let mut lines = Vec::new();
    if !world.is_appliance() {
        lines.push(Line::plain(
            "This is not the appliance: the network is configured by the machine's own means, and \
             the proxy by the agent's configuration. In use:",
        ));
        lines.push(Line::plain(""));
    }
    for (name, addresses) in interfaces() {
        let addresses = if addresses.is_empty() {
            "no address".to_owned()
        } else {
            addresses.join(", ")
        };
        lines.push(Line::plain(format!("{name}: {addresses}")));
    }
    let resolver = appliance::read_small(&world.root.join("etc/resolv.conf")).unwrap_or_default();
    let servers: Vec<&str> = resolver
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver"))
        .map(str::trim)
        .collect();
    lines.push(Line::plain(format!(
        "DNS servers: {}",
        or_none(&servers.join(", "))
    )));
    if let Ok(config) = &world.configured().config {
        let egress = &config.process.egress;
        for (name, proxy) in [("TLS", &egress.https_proxy), ("HTTP", &egress.http_proxy)] {
            let shown = proxy.as_ref().map(ToString::to_string).unwrap_or_default();
            lines.push(Line::plain(format!(
                "Proxy for {name}: {}",
                or_none(&shown)
            )));
        }
    }
    lines
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Names with addresses, without the loopback.
fn interfaces() -> Vec<(String, Vec<String>)> {
    let Ok(networks) = Networks::new_with_refreshed_list() else {
        return Vec::new();
    };
    let mut all: Vec<_> = networks
        .iter()
        .filter(|(name, _)| *name != "lo")
        .map(|(name, network)| {
            let addresses = network.ip_networks().iter();
            let addresses = addresses.map(|ip| format!("{}/{}", ip.addr, ip.prefix));
            (name.to_string_lossy().into_owned(), addresses.collect())
        })
        .collect();
    all.sort();
    all
}

/// Writes the files, all or none, and lets the services read them.
pub(super) async fn apply(
    world: &World,
    settings: &NetworkSettings,
    mut steps: Steps,
) -> Vec<Line> {
    let root = world.root.as_path();
    let before = read(root);
    let written = appliance::network_files(settings)
        .map_err(|error| NotReplaced::from(io::Error::from(error)))
        .and_then(|files| appliance::replace_all(root, &files));
    let count = match written {
        Ok(count) => count,
        Err(failed) => return refused(&failed),
    };
    steps.done(Line::ok(format!("{count} files written")));
    // What the console tests from now on, and what its bundles must not show.
    let url = settings.proxy_url().unwrap_or_default();
    let proxies = vec![
        ("https_proxy", url.as_str()),
        ("http_proxy", url.as_str()),
        ("no_proxy", settings.no_proxy.as_str()),
    ];
    let layers = world.configured().layers.clone().with("console", proxies);
    world.configure(Configured::new(layers));
    if root != Path::new("/") {
        steps.done(Line::plain(format!(
            "They are below {}: no service was told.",
            root.display()
        )));
        return steps.into_lines();
    }
    let proxy_changed = (before.proxy_url(), before.no_proxy.as_str())
        != (settings.proxy_url(), settings.no_proxy.as_str());
    for words in commands(&settings.interface, proxy_changed) {
        steps.run(&words).await;
    }
    steps.into_lines()
}

pub(super) fn refused(failed: &NotReplaced) -> Vec<Line> {
    let told = if failed.changed.is_empty() {
        Line::plain(
            "Nothing was changed. The console needs root, and a file system that can be written.",
        )
    } else {
        let changed = failed.changed.iter().map(|path| path.display().to_string());
        Line::fail(format!(
            "These were changed and could not be put back; no service was told: {}. Apply again, or \
             see to them.",
            changed.collect::<Vec<_>>().join(", ")
        ))
    };
    vec![Line::fail(failed.error.to_string()), told]
}

/// What makes the files count. Services are restarted while the operator goes on: the agent takes its
/// time, and may wait for answers to an address that the machine does not have any more. A transfer
/// goes on from its journal.
fn commands(interface: &str, proxy_changed: bool) -> Vec<Vec<&str>> {
    let restart = ["systemctl", "--no-block", "try-restart"];
    let network = ["systemd-resolved.service", "systemd-timesyncd.service"];
    let mut all = vec![
        vec!["networkctl", "reload"],
        vec!["networkctl", "reconfigure", interface],
        [restart.as_slice(), &network].concat(),
    ];
    if proxy_changed {
        all.push([restart.as_slice(), &["datasync-agent.service"]].concat());
    }
    all
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::steps::tests::unseen;
    use super::*;

    fn settings() -> NetworkSettings {
        NetworkSettings {
            interface: "ens3".to_owned(),
            dns: vec!["192.0.2.53".to_owned()],
            ..NetworkSettings::default()
        }
    }

    #[tokio::test]
    async fn what_was_applied_is_shown_the_next_time() {
        let scratch = tempfile::tempdir().unwrap();
        let lines = apply(&World::below(scratch.path()), &settings(), unseen()).await;
        assert!(lines[0].text.contains("6 files written"), "{lines:?}");
        assert_eq!(read(scratch.path()), settings());
        let written = scratch
            .path()
            .join("etc/systemd/network/05-datasync-console.network");
        assert!(fs::read_to_string(written).unwrap().contains("Name=ens3"));
    }

    #[tokio::test]
    async fn a_new_proxy_is_used_and_kept_secret_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let world = World::below(scratch.path());
        let proxy = NetworkSettings {
            proxy: "http://proxy:3128".to_owned(),
            proxy_user: "me".to_owned(),
            proxy_password: "canary".to_owned(),
            ..settings()
        };
        apply(&world, &proxy, unseen()).await;
        let used = world.configured().layers.value("https_proxy").to_owned();
        assert_eq!(used, "http://me:canary@proxy:3128");
        assert!(world.secrets().contains(&"canary".to_owned()));
        apply(&world, &settings(), unseen()).await;
        assert_eq!(world.configured().layers.value("https_proxy"), "");
    }

    #[tokio::test]
    async fn where_one_file_cannot_be_written_none_is() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("etc")).unwrap();
        // A file where the last directory should be.
        fs::write(scratch.path().join("etc/datasync"), "").unwrap();
        let lines = apply(&World::below(scratch.path()), &settings(), unseen()).await;
        assert!(lines[0].text.contains("cannot write"), "{lines:?}");
        assert!(lines[1].text.contains("Nothing was changed"), "{lines:?}");
        let network = scratch.path().join("etc/systemd/network");
        assert_eq!(fs::read_dir(network).unwrap().count(), 0);
    }

    #[test]
    fn what_could_not_be_put_back_is_named() {
        let failed = NotReplaced {
            error: io::Error::other("cannot write /etc/b"),
            changed: vec!["/etc/a".into()],
        };
        let lines = refused(&failed);
        assert!(lines[0].text.contains("/etc/b"), "{lines:?}");
        assert!(lines[1].text.contains("changed") && lines[1].text.contains("/etc/a"));
        assert!(!lines[1].text.contains("Nothing"), "{lines:?}");
    }

    #[test]
    fn the_agent_is_restarted_for_another_proxy_only() {
        let agent = |proxy_changed| {
            let mut words = commands("ens3", proxy_changed).into_iter().flatten();
            words.any(|word| word == "datasync-agent.service")
        };
        assert!(agent(true) && !agent(false));
    }
}
