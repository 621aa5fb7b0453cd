//! The test of an S3 endpoint, without credentials: those are at control.

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

use super::super::page::Line;
use super::super::screens::storage;
use super::{World, http};
use crate::config::{ControlAddress, EgressSettings};
use crate::link::Trail;

/// Characters of a server's name that are shown.
const NAME_SHOWN: usize = 60;

pub(super) async fn test(world: &World, endpoint: &str, bucket: &str) -> Vec<Line> {
    let configured = world.configured();
    let egress = match &configured.config {
        Ok(config) => config.process.egress.clone(),
        Err(faults) => return vec![Line::fail(format!("Configuration: {faults}"))],
    };
    let Some((target, is_tls)) = target(endpoint, &egress) else {
        return vec![Line::fail(format!(
            "{endpoint} is not the URL of an endpoint"
        ))];
    };
    let mut trail = Trail::default();
    let mut answered = None;
    if let Some(stream) = trail.reach(&target).await {
        let path = format!("/{bucket}");
        let host = target.to_string();
        if is_tls {
            let shaken = trail
                .step("TLS", shake_hands(&target, &egress, stream))
                .await;
            if let Some(stream) = shaken {
                answered = Some(http::exchange(stream, "HEAD", &host, &path).await);
            }
        } else {
            answered = Some(http::exchange(stream, "HEAD", &host, &path).await);
        }
    }
    let mut lines = storage::lines(&format!("S3 endpoint {endpoint}"), &trail.into_hops());
    match answered {
        Some(Ok((head, _))) => {
            let name = server_name(&head.headers);
            lines.push(storage::answered(head.status.as_u16(), name.as_deref()));
            lines.push(storage::clock(ahead_of(&head.headers, SystemTime::now())));
        }
        Some(Err(reason)) => lines.push(Line::fail(format!("HEAD: {reason}"))),
        None => {}
    }
    lines
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
    egress: &EgressSettings,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, String), String> {
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let bundle = egress.ca_bundle.as_deref().unwrap_or_default();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        let certificate = certificate.map_err(|e| format!("ca_bundle: {e}"))?;
        roots
            .add(certificate)
            .map_err(|e| format!("ca_bundle: {e}"))?;
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
