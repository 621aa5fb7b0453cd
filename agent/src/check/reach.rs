//! The way to a store without credentials: name, port, TLS, a HEAD that nobody signed.

use std::sync::Arc;
use std::time::SystemTime;

use hyper::Uri;
use hyper::header::{DATE, HeaderMap, SERVER};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{ControlAddress, EgressSettings};
use crate::link::{Trail, http};

/// Characters of a server's name that are shown.
const NAME_SHOWN: usize = 60;

/// How far it went.
pub(crate) struct Reached {
    pub(crate) trail: Trail,
    /// What came of the HEAD, where it was sent.
    pub(crate) answer: Option<Result<Answer, String>>,
}

/// What a store's answer tells.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As it calls itself.
    pub(crate) server: Option<String>,
    /// How far this machine's clock is ahead of the store's.
    pub(crate) ahead_seconds: Option<i64>,
}

/// `None` if `endpoint` is no URL. `certificate` is trusted besides those of the system and of `egress`.
pub(crate) async fn reach(
    endpoint: &str,
    bucket: &str,
    egress: &EgressSettings,
    certificate: Option<&str>,
) -> Option<Reached> {
    let (target, is_tls) = target(endpoint, egress)?;
    let trusted: Vec<&str> = egress
        .ca_bundle
        .as_deref()
        .into_iter()
        .chain(certificate)
        .collect();
    let mut trail = Trail::default();
    let (path, host) = (format!("/{bucket}"), target.to_string());
    let head = match trail.reach(&target).await {
        None => None,
        Some(stream) if is_tls => {
            let shaken = shake_hands(&target, &trusted, stream);
            match trail.step("TLS", shaken).await {
                Some(stream) => Some(http::exchange(stream, "HEAD", &host, &path).await),
                None => None,
            }
        }
        Some(stream) => Some(http::exchange(stream, "HEAD", &host, &path).await),
    };
    let answer = head.map(|head| {
        head.map(|(head, _)| Answer {
            status: head.status.as_u16(),
            server: server_name(&head.headers),
            ahead_seconds: ahead_of(&head.headers, SystemTime::now()),
        })
    });
    Some(Reached { trail, answer })
}

/// Where the endpoint is, and whether TLS is spoken there.
fn target(endpoint: &str, egress: &EgressSettings) -> Option<(ControlAddress, bool)> {
    let uri: Uri = endpoint.parse().ok()?;
    let is_tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let address = ControlAddress {
        server_name: host.clone(),
        host,
        port,
        proxy: egress.proxy_to(Some(endpoint)).cloned(),
    };
    Some((address, is_tls))
}

async fn shake_hands(
    target: &ControlAddress,
    trusted: &[&str],
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, String), String> {
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for bundle in trusted {
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            let certificate = certificate.map_err(|e| format!("ca_bundle: {e}"))?;
            roots
                .add(certificate)
                .map_err(|e| format!("ca_bundle: {e}"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(target.server_name.clone()).map_err(|e| e.to_string())?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    let connected = connected.map_err(|error| {
        format!("{error} (known: {good} certificates of the system, and those of ca_bundle)")
    })?;
    let version = connected.get_ref().1.protocol_version();
    let version = version.map_or_else(String::new, |version| format!("{version:?}, "));
    Ok((
        connected,
        format!("{version}certificate of {} accepted", target.server_name),
    ))
}

fn server_name(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(SERVER)?.to_str().ok()?;
    Some(name.chars().take(NAME_SHOWN).collect())
}

/// This machine's clock less the one that wrote `Date`, in seconds.
fn ahead_of(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let theirs = DateTimeParser::new().parse_timestamp(text).ok()?;
    let ours = Timestamp::try_from(now).ok()?;
    Some(ours.as_second().saturating_sub(theirs.as_second()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn endpoints_are_taken_apart() {
        let egress = EgressSettings::default();
        let read = |url: &str| target(url, &egress).map(|(at, is_tls)| (at.host, at.port, is_tls));
        assert_eq!(
            read("https://s3.example"),
            Some(("s3.example".to_owned(), 443, true))
        );
        assert_eq!(
            read("http://[2001:db8::1]:9000/"),
            Some(("2001:db8::1".to_owned(), 9000, false))
        );
        assert_eq!(read("ftp://x"), None);
        assert_eq!(read("/x"), None);
    }

    #[test]
    fn the_stores_clock_is_in_its_answer() {
        let mut headers = HeaderMap::new();
        assert_eq!(ahead_of(&headers, SystemTime::now()), None);
        headers.insert(DATE, "Thu, 01 Jan 1970 00:01:40 GMT".parse().unwrap());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(40);
        assert_eq!(ahead_of(&headers, now), Some(-60));
        headers.insert(DATE, "yesterday".parse().unwrap());
        assert_eq!(ahead_of(&headers, now), None);
    }
}
