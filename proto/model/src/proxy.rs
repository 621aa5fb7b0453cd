//! The HTTP proxy that connections leave a network through.

use std::fmt;

/// Never asked through a proxy, whatever else is said: this machine.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// An HTTP proxy (`CONNECT` for TLS, absolute targets for plain HTTP) and the hosts that are reached
/// without it. `Debug` shows no user and no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    url: String,
    no_proxy: String,
}

/// Not the URL of a proxy that can be used. Does not repeat it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be http://[USER:PASSWORD@]HOST[:PORT], with signs such as @ and / in user and password written as %40 and %2F; other kinds of proxies are not supported"
)]
pub struct NotAProxy;

impl Proxy {
    /// The proxy at `url`, for all hosts but those of `no_proxy`: names (with all below them),
    /// addresses and networks, separated by commas, or `*` for all.
    ///
    /// # Errors
    /// [`NotAProxy`]
    pub fn new(url: &str, no_proxy: &str) -> Result<Self, NotAProxy> {
        let authority = url.trim().strip_prefix("http://").ok_or(NotAProxy)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let host = authority.rsplit('@').next().unwrap_or_default();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (host, None),
        };
        let port_is_one = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let user = authority.strip_suffix(host).unwrap_or_default();
        let user = user.strip_suffix('@').unwrap_or(user);
        if name.is_empty()
            || !port_is_one
            || !host.chars().all(is_of_host)
            || !user.chars().all(is_of_user)
        {
            return Err(NotAProxy);
        }
        let hosts = no_proxy.split(',').map(str::trim);
        // `*.example` is what others write for `example`, which covers what is below it.
        let hosts = hosts.map(|host| host.strip_prefix("*.").unwrap_or(host));
        let all: Vec<&str> = [LOOPBACK]
            .into_iter()
            .chain(hosts.filter(|host| !host.is_empty()))
            .collect();
        Ok(Self {
            url: format!("http://{authority}"),
            no_proxy: all.join(","),
        })
    }

    /// With user and password: not for logs.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Hosts that are reached without the proxy, separated by commas.
    #[must_use]
    pub fn no_proxy(&self) -> &str {
        &self.no_proxy
    }
}

fn is_of_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._:[]".contains(c)
}

/// RFC 3986, section 3.2.1. Anything else is written as `%XX`, an `@` too: HTTP libraries read the
/// rest differently.
fn is_of_user(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:%".contains(c)
}

/// `http://HOST:PORT`.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.url.trim_start_matches("http://");
        write!(f, "http://{}", rest.rsplit('@').next().unwrap_or_default())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.to_string())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_proxies_are_taken() {
        for url in [
            "http://proxy",
            "http://proxy:3128/",
            "http://u:p@proxy.example:80",
            "http://[2001:db8::1]:3128",
            "http://[2001:db8::1]",
        ] {
            assert!(Proxy::new(url, "").is_ok(), "{url}");
        }
        for url in [
            "",
            "proxy:3128",
            "https://proxy",
            "socks5://proxy",
            "http://",
            "http://:80",
            "http://proxy:0",
            "http://proxy:x",
            "http://proxy/path",
            "http://pro xy",
        ] {
            assert_eq!(Proxy::new(url, ""), Err(NotAProxy), "{url}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere_and_this_machine_is_never_behind_the_proxy() {
        let proxy = Proxy::new("http://user:canary@proxy:3128", " store.internal ").unwrap();
        for text in [format!("{proxy:?}"), proxy.to_string()] {
            assert!(
                !text.contains("canary") && text.contains("proxy:3128"),
                "{text}"
            );
        }
        assert!(proxy.url().contains("canary"));
        assert_eq!(proxy.no_proxy(), "localhost,127.0.0.0/8,::1,store.internal");
    }
}
