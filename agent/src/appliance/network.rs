//! How the machine's network is set up: what an operator or a seed says, checked.

use std::fmt;
use std::net::IpAddr;

use datasync_model::Proxy;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

// Names of the members, as people see them.
pub(crate) const INTERFACE: &str = "Interface";
pub(crate) const ADDRESS: &str = "Address/prefix";
pub(crate) const GATEWAY: &str = "Gateway";
pub(crate) const DNS: &str = "DNS servers";
pub(crate) const TIME: &str = "Time servers";
pub(crate) const PROXY: &str = "Proxy";
pub(crate) const NO_PROXY: &str = "No proxy for";

/// DNS and time servers.
const SERVERS_MAX: usize = 8;

/// What the operator fills in. Kept in a file of its own, to be shown the next time.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkSettings {
    pub(crate) interface: String,
    pub(crate) is_static: bool,
    /// `ADDRESS/PREFIX`, with `is_static`.
    pub(crate) address: String,
    pub(crate) gateway: String,
    pub(crate) dns: Vec<String>,
    pub(crate) time: Vec<String>,
    /// `http://HOST:PORT`, or empty.
    pub(crate) proxy: String,
    pub(crate) proxy_user: String,
    pub(crate) proxy_password: String,
    pub(crate) no_proxy: String,
}

/// Without the password.
impl fmt::Debug for NetworkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkSettings")
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

impl NetworkSettings {
    /// # Errors
    /// What is wrong with the first member that is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_name = |text: &str, more: &[u8], most: usize| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
            (1..=most).contains(&text.len()) && text.bytes().all(plain)
        };
        if !is_name(&self.interface, b"-_.@", 15) {
            return Err(format!("\"{INTERFACE}\" is not the name of an interface."));
        }
        if self.is_static {
            let address = self.address.split_once('/').and_then(|(address, prefix)| {
                Some((address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?))
            });
            let good = match address {
                Some((IpAddr::V4(_), prefix)) => (1..=32).contains(&prefix),
                Some((IpAddr::V6(_), prefix)) => (1..=128).contains(&prefix),
                None => false,
            };
            if !good {
                return Err(format!("\"{ADDRESS}\" is not like 192.0.2.10/24."));
            }
            if !self.gateway.is_empty() && self.gateway.parse::<IpAddr>().is_err() {
                return Err(format!("\"{GATEWAY}\" is not an IP address."));
            }
        }
        if self.dns.len() > SERVERS_MAX || self.time.len() > SERVERS_MAX {
            return Err(format!("More than {SERVERS_MAX} servers."));
        }
        if let Some(bad) = self.dns.iter().find(|text| text.parse::<IpAddr>().is_err()) {
            return Err(format!("\"{DNS}\": {bad} is not an IP address."));
        }
        if let Some(bad) = self.time.iter().find(|text| !is_name(text, b"-.:", 253)) {
            return Err(format!("\"{TIME}\": {bad} is not a host."));
        }
        if !is_name(&format!("x{}", self.no_proxy), b"-.:,/* ", 1000) {
            return Err(format!(
                "\"{NO_PROXY}\" is not a list of hosts and networks."
            ));
        }
        match self.proxy_url() {
            Some(url) => Proxy::new(&url, &self.no_proxy)
                .map(|_| ())
                .map_err(|error| format!("\"{PROXY}\": {error}")),
            None if !self.proxy_user.is_empty() => Err(format!("\"{PROXY}\" is empty.")),
            None => Ok(()),
        }
    }

    /// With user and password; `None` without a proxy.
    pub(crate) fn proxy_url(&self) -> Option<String> {
        if self.proxy.is_empty() {
            return None;
        }
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let host = self.proxy.strip_prefix("http://").unwrap_or(&self.proxy);
        let user = match (self.proxy_user.as_str(), self.proxy_password.as_str()) {
            ("", _) => String::new(),
            (user, "") => format!("{}@", escape(user)),
            (user, password) => format!("{}:{}@", escape(user), escape(password)),
        };
        Some(format!("http://{user}{host}"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn good() -> NetworkSettings {
        NetworkSettings {
            interface: "ens3".to_owned(),
            is_static: true,
            address: "192.0.2.10/24".to_owned(),
            gateway: "192.0.2.1".to_owned(),
            dns: vec!["192.0.2.53".to_owned(), "2001:db8::53".to_owned()],
            time: vec!["time.example".to_owned()],
            proxy: "http://proxy.example:3128".to_owned(),
            proxy_user: "me@x".to_owned(),
            proxy_password: "p/w d".to_owned(),
            no_proxy: "store.internal, 10.0.0.0/8".to_owned(),
        }
    }

    #[test]
    fn nothing_goes_into_a_file_that_is_not_what_it_should_be() {
        let refused = |change: fn(&mut NetworkSettings)| {
            let mut settings = good();
            change(&mut settings);
            settings.check().unwrap_err()
        };
        for (problem, told) in [
            (
                refused(|s| s.interface = "ens3\n[Match]".to_owned()),
                "interface",
            ),
            (
                refused(|s| s.address = "192.0.2.10".to_owned()),
                "192.0.2.10/24",
            ),
            (
                refused(|s| s.address = "192.0.2.10/33".to_owned()),
                "192.0.2.10/24",
            ),
            (refused(|s| s.gateway = "gw".to_owned()), "IP address"),
            (refused(|s| s.dns = vec!["dns".to_owned()]), "dns is not"),
            (refused(|s| s.time = vec!["a\nb".to_owned()]), "not a host"),
            (refused(|s| s.proxy = "socks5://x".to_owned()), "Proxy"),
            (refused(|s| s.proxy = String::new()), "empty"),
            (refused(|s| s.no_proxy = "a\nb".to_owned()), "No proxy for"),
        ] {
            assert!(problem.contains(told), "{problem}");
        }
    }
}
