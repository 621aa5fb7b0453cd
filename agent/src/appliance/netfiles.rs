//! The files that say how the machine's network is: of systemd-networkd, systemd-resolved,
//! systemd-timesyncd, apt, and the environment of the agent's unit.

use std::fmt::Write as _;

use super::files::{MachineFile, NOTE};
use super::network::NetworkSettings;

/// Keeps what was filled in.
pub(crate) const KEPT: &str = "etc/datasync/network.json";
/// Read by the agent's unit whenever that is started; the image says so to it.
const PROXY: &str = "etc/datasync/proxy.env";
/// Read by what updates the operating system.
const APT_PROXY: &str = "etc/apt/apt.conf.d/61datasync-proxy";

/// All files for `settings`, which were checked. Each is always written: one that is not needed any
/// more becomes empty.
pub(crate) fn files(settings: &NetworkSettings) -> serde_json::Result<Vec<MachineFile>> {
    let public = |path, content: String| MachineFile {
        path,
        content: format!("{NOTE}{content}"),
        mode: 0o644,
        group: None,
    };
    Ok(vec![
        public(
            "etc/systemd/network/05-datasync-console.network",
            network(settings),
        ),
        public(
            "etc/systemd/resolved.conf.d/50-datasync-console.conf",
            list("Resolve", "DNS", &settings.dns),
        ),
        public(
            "etc/systemd/timesyncd.conf.d/50-datasync-console.conf",
            list("Time", "NTP", &settings.time),
        ),
        // The proxy's password is in it.
        MachineFile {
            mode: 0o600,
            ..public(PROXY, proxy(settings))
        },
        MachineFile {
            mode: 0o600,
            ..public(APT_PROXY, apt_proxy(settings))
        },
        MachineFile {
            path: KEPT,
            content: serde_json::to_string_pretty(settings)? + "\n",
            mode: 0o600,
            group: None,
        },
    ])
}

fn network(settings: &NetworkSettings) -> String {
    let mut text = format!("[Match]\nName={}\n\n[Network]\n", settings.interface);
    if !settings.is_static {
        text.push_str("DHCP=yes\n");
        return text;
    }
    // Writing to a String does not fail.
    writeln!(text, "DHCP=no\nAddress={}", settings.address).ok();
    if !settings.gateway.is_empty() {
        writeln!(text, "Gateway={}", settings.gateway).ok();
    }
    text
}

fn list(section: &str, name: &str, servers: &[String]) -> String {
    if servers.is_empty() {
        return String::new();
    }
    format!("[{section}]\n{name}={}\n", servers.join(" "))
}

fn proxy(settings: &NetworkSettings) -> String {
    let Some(url) = settings.proxy_url() else {
        return String::new();
    };
    let mut text = String::new();
    for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
        writeln!(text, "DATASYNC_AGENT_{name}=\"{url}\"").ok();
    }
    if !settings.no_proxy.is_empty() {
        writeln!(text, "DATASYNC_AGENT_NO_PROXY=\"{}\"", settings.no_proxy).ok();
    }
    text
}

/// apt knows hosts that are reached directly by their names alone.
fn apt_proxy(settings: &NetworkSettings) -> String {
    let Some(url) = settings.proxy_url() else {
        return String::new();
    };
    let mut text = String::new();
    for scheme in ["http", "https"] {
        writeln!(text, "Acquire::{scheme}::Proxy \"{url}\";").ok();
        let hosts = settings.no_proxy.split(',').map(str::trim);
        for host in hosts.filter(|host| is_host(host)) {
            writeln!(text, "Acquire::{scheme}::Proxy::{host} \"DIRECT\";").ok();
        }
    }
    text
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    text.bytes().all(plain) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(settings: &NetworkSettings, path: &str) -> String {
        let files = files(settings).unwrap();
        let file = files.iter().find(|file| file.path.contains(path)).unwrap();
        file.content.replace(NOTE, "")
    }

    #[test]
    fn a_static_address_with_servers_and_a_proxy() {
        let settings = NetworkSettings {
            interface: "ens3".to_owned(),
            is_static: true,
            address: "192.0.2.10/24".to_owned(),
            gateway: "192.0.2.1".to_owned(),
            dns: vec!["192.0.2.53".to_owned(), "192.0.2.54".to_owned()],
            time: vec!["time.example".to_owned()],
            proxy: "http://proxy:3128".to_owned(),
            proxy_user: "me".to_owned(),
            proxy_password: "a/b".to_owned(),
            no_proxy: "store.internal, .example, 10.0.0.0/8".to_owned(),
        };
        assert_eq!(
            content(&settings, "console.network"),
            "[Match]\nName=ens3\n\n[Network]\nDHCP=no\nAddress=192.0.2.10/24\nGateway=192.0.2.1\n"
        );
        assert_eq!(
            content(&settings, "resolved"),
            "[Resolve]\nDNS=192.0.2.53 192.0.2.54\n"
        );
        assert_eq!(
            content(&settings, "timesyncd"),
            "[Time]\nNTP=time.example\n"
        );
        assert_eq!(
            content(&settings, "proxy.env"),
            "DATASYNC_AGENT_HTTPS_PROXY=\"http://me:a%2Fb@proxy:3128\"\n\
             DATASYNC_AGENT_HTTP_PROXY=\"http://me:a%2Fb@proxy:3128\"\n\
             DATASYNC_AGENT_NO_PROXY=\"store.internal, .example, 10.0.0.0/8\"\n"
        );
        assert_eq!(
            content(&settings, "apt.conf.d"),
            "Acquire::http::Proxy \"http://me:a%2Fb@proxy:3128\";\n\
             Acquire::http::Proxy::store.internal \"DIRECT\";\n\
             Acquire::https::Proxy \"http://me:a%2Fb@proxy:3128\";\n\
             Acquire::https::Proxy::store.internal \"DIRECT\";\n"
        );
        for file in files(&settings).unwrap() {
            let is_secret = file.content.contains("a%2Fb") || file.content.contains("a/b");
            assert_eq!(is_secret, file.mode == 0o600, "{}", file.path);
        }
        let kept: NetworkSettings =
            serde_json::from_str(&content(&settings, "network.json")).unwrap();
        assert_eq!(kept, settings);
    }

    #[test]
    fn dhcp_takes_back_what_was_set_before() {
        let settings = NetworkSettings {
            interface: "ens3".to_owned(),
            ..NetworkSettings::default()
        };
        assert!(content(&settings, "console.network").ends_with("DHCP=yes\n"));
        for empty in ["resolved", "timesyncd", "proxy.env", "apt.conf.d"] {
            assert_eq!(content(&settings, empty), "", "{empty}");
        }
    }
}
