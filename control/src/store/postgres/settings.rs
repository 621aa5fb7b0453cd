//! Which server, and how to reach it.

use std::fmt;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

const FORM: &str = "must look like postgresql://user:password@host:5432/database";

/// A PostgreSQL database as `--database-url` names it. `Debug` and [`Self::place`] show no
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct Postgres {
    config: Config,
    ca: Option<String>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("place", &self.place())
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// `ca` is PEM: the only certificates that the server's may be signed by; without it the
    /// system's count.
    ///
    /// TLS is required unless `url` says `sslmode=disable`, or names only Unix sockets and
    /// loopback addresses and no `sslmode`.
    ///
    /// # Errors
    /// What does not fit, without repeating `url`: it may hold a password.
    pub(crate) fn parse(url: &str, ca: Option<String>) -> Result<Self, String> {
        if !["postgresql://", "postgres://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(FORM.to_owned());
        }
        if url.contains("sslrootcert=") {
            return Err("sslrootcert is not known here: set database_ca_file".to_owned());
        }
        // With TLS the server's certificate is always verified in full.
        let url = url
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            format!("{FORM}: {}", reason.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_dbname().is_none() {
            return Err(format!("{FORM}: it names no database"));
        }
        if config.get_hosts().is_empty() {
            return Err(format!("{FORM}: it names no host"));
        }
        // What follows the @ is then a part of the password, which is not to be shown as a host.
        let is_cut = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
        if config.get_hosts().iter().any(is_cut) {
            return Err(format!(
                "{FORM}: an @ in the user or the password is written as %40"
            ));
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            let mode = if config.get_hosts().iter().all(is_local) {
                SslMode::Disable
            } else {
                SslMode::Require
            };
            config.ssl_mode(mode);
        }
        Ok(Self { config, ca })
    }

    /// The servers and the database.
    pub(crate) fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| {
                let port = ports.get(index).or(ports.first()).unwrap_or(&5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    Host::Unix(path) => path.display().to_string(),
                }
            })
            .collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("postgresql://{}/{database}", hosts.join(","))
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let name = name.trim_start_matches('[').trim_end_matches(']');
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        Postgres::parse(url, None).unwrap().config.get_ssl_mode()
    }

    #[test]
    fn beyond_this_machine_tls_is_required_unless_switched_off() {
        for (url, expected) in [
            ("postgresql://db.example/d", SslMode::Require),
            ("postgresql://db.example/d?sslmode=prefer", SslMode::Require),
            ("postgresql://localhost,db.example/d", SslMode::Require),
            (
                "postgresql://u@127.0.0.1:1/d?sslmode=verify-full",
                SslMode::Require,
            ),
            (
                "postgresql://db.example/d?sslmode=disable",
                SslMode::Disable,
            ),
            ("postgresql://localhost/d", SslMode::Disable),
            ("postgres://u:p@[::1]:5432/d", SslMode::Disable),
            ("postgresql:///d?host=/run/postgresql", SslMode::Disable),
        ] {
            assert_eq!(mode(url), expected, "{url}");
        }
    }

    #[test]
    fn faults_are_explained_and_no_password_is_shown() {
        for (url, text) in [
            ("host=db password=CANARY", "must look like"),
            ("mysql://u:CANARY@db/d", "must look like"),
            ("postgresql://u:CANARY@db", "no database"),
            ("postgresql:///d", "no host"),
            ("postgresql://u:pass@CANARY@db/d", "%40"),
            ("postgresql://u:CANARY@db:x/d", "port"),
            (
                "postgresql://u:CANARY@db/d?sslrootcert=x",
                "database_ca_file",
            ),
            ("postgresql://u:CANARY@db/d?what=1", "what"),
        ] {
            let fault = Postgres::parse(url, None).unwrap_err();
            assert!(fault.contains(text), "{url}: {fault}");
            assert!(!fault.contains("CANARY"), "{fault}");
        }
        let good = Postgres::parse("postgresql://u:CANARY@db:77,other/d", None).unwrap();
        assert!(!format!("{good:?}").contains("CANARY"));
        assert_eq!(good.place(), "postgresql://db:77,other:5432/d");
    }
}
