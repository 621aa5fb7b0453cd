//! How control serves its API.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::layers::Layers;
use super::{boolean, in_range};

/// How control serves its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiSecurity {
    /// HTTPS with a certificate of control's own CA.
    OwnCa,
    /// HTTPS with a certificate from elsewhere, both files PEM.
    Files {
        /// The certificate and its chain.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Plain HTTP: only on loopback unless explicitly allowed.
    Plain,
}

/// Bounds on connections of the API; those on which nothing is being answered yield to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiConnections {
    /// At a time.
    pub total: usize,
    /// With one address, or one /64 network of IPv6, at a time.
    pub per_address: usize,
}

pub(super) fn api_connections(layers: &mut Layers) -> Option<ApiConnections> {
    let total = layers.parsed("api_connections_max", "512", |text| {
        in_range(text, 16, 65_536, "connections")
    })?;
    let half = (total / 2).to_string();
    let per_address = layers.parsed("api_connections_per_address", &half, |text| {
        in_range(text, 1, total, "connections")
    })?;
    Some(ApiConnections {
        total: usize::try_from(total).ok()?,
        per_address: usize::try_from(per_address).ok()?,
    })
}

pub(super) fn api_security(layers: &mut Layers, listen: Option<SocketAddr>) -> Option<ApiSecurity> {
    let tls = layers.parsed("api_tls", "true", boolean)?;
    let allowed = layers.parsed("allow_insecure_http", "false", boolean)?;
    let certificate = layers.optional("api_certificate_file").map(PathBuf::from);
    let key = layers.optional("api_key_file").map(PathBuf::from);
    match (tls, certificate, key) {
        (true, None, None) => Some(ApiSecurity::OwnCa),
        (true, Some(certificate), Some(key)) => Some(ApiSecurity::Files { certificate, key }),
        (true, _, _) => {
            layers.fault("api_certificate_file and api_key_file go together: set both or neither");
            None
        }
        (false, None, None) => {
            let loopback = listen.is_none_or(|address| address.ip().is_loopback());
            if !loopback && !allowed {
                layers.fault(
                    "api_tls = false is allowed only on a loopback address: listen on 127.0.0.1, \
                     or set allow_insecure_http if the network in between is trusted",
                );
            }
            Some(ApiSecurity::Plain)
        }
        (false, _, _) => {
            layers
                .fault("api_certificate_file and api_key_file make no sense with api_tls = false");
            None
        }
    }
}

/// A DNS name or an IP address, as it goes into a certificate.
pub(super) fn server_name(text: &str) -> Result<String, &'static str> {
    rustls_pki_types::ServerName::try_from(text)
        .map(|_| text.to_owned())
        .map_err(|_| "must be a DNS name or an IP address")
}
