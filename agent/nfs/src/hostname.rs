//! `ServerHostname`: a name, an address, or `host:port`.

use std::fmt;
use std::net::Ipv6Addr;

/// Host and fixed NFS port of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName {
    /// Name or address literal, without brackets.
    pub host: String,
    /// The NFS port, where it is fixed.
    pub port: Option<u16>,
}

/// As it is parsed.
impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Text that names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no server: write a host name, an address, or host:port with a port of 1 to 65535"
)]
pub struct NotAServer(String);

impl ServerName {
    /// Exactly one colon means `host:port`; more mean an IPv6 literal, which may stand in brackets
    /// and then have a port of its own.
    ///
    /// # Errors
    /// [`NotAServer`] for text without a host, and for ports outside 1 to 65535.
    pub fn parse(text: &str) -> Result<Self, NotAServer> {
        let refused = || NotAServer(text.to_owned());
        let port_of = |digits: &str| {
            let port = digits.parse::<u16>().ok().filter(|port| *port != 0);
            port.map(Some).ok_or_else(refused)
        };
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            match rest.split_once(']').ok_or_else(refused)? {
                (host, "") => (host, None),
                (host, after) => (host, port_of(after.strip_prefix(':').ok_or_else(refused)?)?),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, port_of(port)?),
                _ => (text, None),
            }
        };
        // The zone of a link-local address (`%eth0`) is no part of the literal.
        let literal = host.split_once('%').map_or(host, |(literal, _)| literal);
        let is_v6 = literal.parse::<Ipv6Addr>().is_ok();
        let must_be_v6 = host.contains(':') || text.starts_with('[');
        if host.is_empty() || host.contains(['/', '\0', ' ']) || (must_be_v6 && !is_v6) {
            return Err(refused());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colon_is_a_port_and_more_are_an_address() {
        for (text, host, port) in [
            ("nas.example.com", "nas.example.com", None),
            ("nas:20490", "nas", Some(20490)),
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:2049", "192.0.2.1", Some(2049)),
            ("2001:db8::1", "2001:db8::1", None),
            ("::1", "::1", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[::1]", "::1", None),
            ("[::1]:2049", "::1", Some(2049)),
            ("[fe80::1%eth0]:2049", "fe80::1%eth0", Some(2049)),
        ] {
            let expected = ServerName {
                host: host.to_owned(),
                port,
            };
            assert_eq!(ServerName::parse(text), Ok(expected.clone()), "{text}");
            let shown = expected.to_string();
            assert_eq!(ServerName::parse(&shown), Ok(expected), "{shown}");
        }
        for text in [
            "",
            ":2049",
            "nas:",
            "nas:0",
            "nas:65536",
            "nas:nfs",
            "[::1",
            "[::1]2049",
            "nas:2049:2049",
            "[nas]:2049",
            "2001:db8::1::2",
            "a b",
        ] {
            assert!(ServerName::parse(text).is_err(), "{text}");
        }
    }
}
