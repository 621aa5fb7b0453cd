//! The machine's network, where the console configures it.

use std::fmt;
use std::net::IpAddr;

use datasync_model::Proxy;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::super::command::Command;
use super::super::form::{Field, Form, Kind};

const INTERFACE: &str = "Interface";
const MODE: &str = "Addresses";
const MODES: &[&str] = &["DHCP", "static"];
const ADDRESS: &str = "Address/prefix";
const GATEWAY: &str = "Gateway";
const DNS: &str = "DNS servers";
const TIME: &str = "Time servers";
const PROXY: &str = "Proxy";
const USER: &str = "Proxy user";
const PASSWORD: &str = "Proxy password";
const NO_PROXY: &str = "No proxy for";

/// DNS and time servers.
const SERVERS_MAX: usize = 8;

/// What the operator fills in. Kept in a file of its own, to be shown the next time.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Settings {
    pub(in super::super) interface: String,
    pub(in super::super) is_static: bool,
    /// `ADDRESS/PREFIX`, with `is_static`.
    pub(in super::super) address: String,
    pub(in super::super) gateway: String,
    pub(in super::super) dns: Vec<String>,
    pub(in super::super) time: Vec<String>,
    /// `http://HOST:PORT`, or empty.
    pub(in super::super) proxy: String,
    pub(in super::super) proxy_user: String,
    pub(in super::super) proxy_password: String,
    pub(in super::super) no_proxy: String,
}

/// Without the password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

pub(in super::super) fn form(settings: &Settings) -> Form {
    let mut password = Field::secret(PASSWORD);
    password.value.clone_from(&settings.proxy_password);
    Form::new(
        "Network configuration",
        &["Servers are separated by commas. Empty: what DHCP says, or none."],
        vec![
            Field::text(INTERFACE, settings.interface.as_str()),
            Field::new(
                MODE,
                Kind::Choice(MODES),
                MODES[usize::from(settings.is_static)],
            ),
            Field::text(ADDRESS, settings.address.as_str()),
            Field::text(GATEWAY, settings.gateway.as_str()),
            Field::text(DNS, settings.dns.join(", ")),
            Field::text(TIME, settings.time.join(", ")),
            Field::text(PROXY, settings.proxy.as_str()),
            Field::text(USER, settings.proxy_user.as_str()),
            password,
            Field::text(NO_PROXY, settings.no_proxy.as_str()),
        ],
        "Apply",
    )
}

/// # Errors
/// What is wrong with the first field that is wrong.
pub(in super::super) fn submit(form: &Form) -> Result<Command, String> {
    let text = |label: &str| form.value(label).to_owned();
    let settings = Settings {
        interface: text(INTERFACE),
        is_static: form.value(MODE) == MODES[1],
        address: text(ADDRESS),
        gateway: text(GATEWAY),
        dns: list(form.value(DNS)),
        time: list(form.value(TIME)),
        proxy: text(PROXY),
        proxy_user: text(USER),
        proxy_password: text(PASSWORD),
        no_proxy: text(NO_PROXY),
    };
    settings.check()?;
    Ok(Command::ApplyNetwork(Box::new(settings)))
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

impl Settings {
    fn check(&self) -> Result<(), String> {
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
    pub(in super::super) fn proxy_url(&self) -> Option<String> {
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
mod tests {
    use super::*;

    fn good() -> Settings {
        Settings {
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
    fn the_form_gives_back_what_it_was_given() {
        let taken = submit(&form(&good()));
        assert_eq!(taken, Ok(Command::ApplyNetwork(Box::new(good()))));
        let url = good().proxy_url().unwrap();
        assert_eq!(url, "http://me%40x:p%2Fw%20d@proxy.example:3128");
        assert!(!format!("{:?}", good()).contains("p/w d"));
    }

    #[test]
    fn nothing_goes_into_a_file_that_is_not_what_it_should_be() {
        let refused = |change: fn(&mut Settings)| {
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
