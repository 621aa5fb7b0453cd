//! How control reaches what it dials: proxies, and whom it trusts.

use datasync_model::Proxy;

use super::layers::Layers;
use crate::egress::Egress;
use crate::store::{Database, Postgres};

const CA_BUNDLE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn egress(layers: &mut Layers) -> Egress {
    let no_proxy = layers.optional("no_proxy").unwrap_or_default();
    Egress {
        https_proxy: proxy(layers, "https_proxy", &no_proxy),
        http_proxy: proxy(layers, "http_proxy", &no_proxy),
        ca_bundle: layers
            .optional("ca_bundle_file")
            .and_then(|path| certificates(layers, "ca_bundle_file", &path)),
    }
}

/// An empty text is no proxy. The fault does not repeat it: it may hold a password.
fn proxy(layers: &mut Layers, name: &'static str, no_proxy: &str) -> Option<Proxy> {
    let url = layers.optional(name).filter(|url| !url.trim().is_empty())?;
    Proxy::new(&url, no_proxy)
        .map_err(|error| layers.fault(format!("{name}: {error}")))
        .ok()
}

fn certificates(layers: &mut Layers, name: &str, path: &str) -> Option<String> {
    read_certificates(path)
        .map_err(|fault| layers.fault(format!("{name}: {fault}")))
        .ok()
}

fn read_certificates(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {path}: {error}");
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > CA_BUNDLE_BYTES_MAX {
        return Err(format!("{path} is larger than {CA_BUNDLE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(format!("{path} holds no certificate in PEM"))
    }
}

/// The fault does not repeat the URL: it may hold a password.
pub(super) fn database(layers: &mut Layers) -> Option<Database> {
    let ca = layers.optional("database_ca_file");
    let url = layers.optional("database_url");
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        if ca.is_some() {
            layers.fault("database_ca_file makes no sense without database_url");
        }
        return Some(Database::Sqlite);
    };
    let ca = ca.map(|path| certificates(layers, "database_ca_file", &path));
    let misses_ca = ca == Some(None);
    Postgres::parse(&url, ca.flatten())
        .map_err(|fault| layers.fault(format!("database_url: {fault}")))
        .map(|settings| Database::Postgres(Box::new(settings)))
        .ok()
        .filter(|_| !misses_ca)
}
