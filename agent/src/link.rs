//! The gRPC connection to control: TLS from the first byte, control authenticated always, the
//! agent once it has a certificate.

mod hops;
pub(crate) mod http;
mod trust;
mod tunnel;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::config::{ControlAddress, ControlAddresses, ControlTrust};
use crate::identity::Credential;

pub(crate) use hops::{Hop, Trail, walk};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pings find a peer that vanished without a word, and keep NAT entries alive.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const CA_FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why there is no connection to control.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// Trust or identity cannot be used at all.
    #[error("cannot set up TLS towards control: {0}")]
    Setup(String),
    /// No TCP connection, or no TLS over it.
    #[error("cannot connect to control at {address}: {reason}")]
    Connect { address: String, reason: String },
}

impl LinkError {
    /// One failure after another.
    fn and(before: Option<Self>, next: Self) -> Option<Self> {
        match (before, next) {
            (
                Some(Self::Connect { address, reason }),
                Self::Connect {
                    address: other,
                    reason: also,
                },
            ) => Some(Self::Connect {
                address,
                reason: format!("{reason}; nor at {other}: {also}"),
            }),
            (_, next) => Some(next),
        }
    }
}

/// A CA file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaFileError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error("{path} holds no usable PEM certificate: {reason}")]
    Content { path: String, reason: String },
}

/// Whom to believe to be control.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Chains that end in one of these.
    Roots(Vec<CertificateDer<'static>>),
    /// Chains that contain a CA certificate with this SHA-256.
    Fingerprint([u8; 32]),
}

impl Trust {
    /// What the configuration says.
    pub(crate) fn configured(trust: &ControlTrust) -> Result<Self, CaFileError> {
        match trust {
            ControlTrust::CaFile(path) => read_ca_file(path).map(Self::Roots),
            ControlTrust::Fingerprint(fingerprint) => Ok(Self::Fingerprint(*fingerprint)),
        }
    }

    /// The anchors that control handed out at activation.
    pub(crate) fn anchors(pem: &str) -> Result<Self, LinkError> {
        certificates(pem.as_bytes())
            .map(Self::Roots)
            .map_err(|reason| LinkError::Setup(format!("trust anchors: {reason}")))
    }
}

/// The certificates of a PEM file.
pub(crate) fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaFileError> {
    let shown = path.display().to_string();
    let content = |reason: String| CaFileError::Content {
        path: shown.clone(),
        reason,
    };
    let read = |source| CaFileError::Read {
        path: shown.clone(),
        source,
    };
    if std::fs::metadata(path).map_err(read)?.len() > CA_FILE_BYTES_MAX {
        return Err(content(format!("larger than {CA_FILE_BYTES_MAX} bytes")));
    }
    let pem = std::fs::read(path).map_err(read)?;
    certificates(&pem).map_err(content)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    if found.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    trust::root_store(&found).map_err(|e| e.to_string())?;
    Ok(found)
}

/// Opens a connection to the first replica of control that takes it, and keeps to that one.
pub(crate) async fn connect_any(
    addresses: &ControlAddresses,
    trust: &Trust,
    credential: Option<&Credential>,
) -> Result<Channel, LinkError> {
    let mut failed = None;
    for address in addresses.in_turn() {
        match connect(address, trust, credential).await {
            Ok(channel) => {
                addresses.prefer(address);
                return Ok(channel);
            }
            Err(error @ LinkError::Setup(_)) => return Err(error),
            Err(error) => failed = LinkError::and(failed, error),
        }
    }
    Err(failed.unwrap_or_else(|| LinkError::Setup("no address of control".to_owned())))
}

/// Opens a connection; the channel does not come back by itself as another agent.
async fn connect(
    address: &ControlAddress,
    trust: &Trust,
    credential: Option<&Credential>,
) -> Result<Channel, LinkError> {
    let setup = |error: &dyn Error| LinkError::Setup(error.to_string());
    let tls = Arc::new(client_config(trust, credential)?);
    let name = ServerName::try_from(address.server_name.clone()).map_err(|e| setup(&e))?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|e| setup(&e))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let target = address.clone();
    let connector = tower::service_fn(move |_: Uri| {
        dial(
            target.clone(),
            TlsConnector::from(Arc::clone(&tls)),
            name.clone(),
        )
    });
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| LinkError::Connect {
            address: address.to_string(),
            reason: innermost(&error),
        })
}

async fn dial(
    target: ControlAddress,
    tls: TlsConnector,
    name: ServerName<'static>,
) -> std::io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, async {
        let stream = tunnel::reach(&target).await?;
        stream.set_nodelay(true)?;
        tls.connect(name, stream).await
    })
    .await;
    match connected {
        Ok(result) => result.map(TokioIo::new),
        Err(_) => Err(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no TLS connection within {} s", CONNECT_TIMEOUT.as_secs()),
        )),
    }
}

fn client_config(
    trust: &Trust,
    credential: Option<&Credential>,
) -> Result<ClientConfig, LinkError> {
    let setup = |error: rustls::Error| LinkError::Setup(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder =
        match trust {
            Trust::Roots(roots) => {
                builder.with_root_certificates(trust::root_store(roots).map_err(setup)?)
            }
            // Not a weaker check: the verifier runs the same one with the pinned CA as only root.
            Trust::Fingerprint(fingerprint) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(trust::PinnedCa::new(
                    *fingerprint,
                    provider,
                ))),
        };
    let mut config = match credential {
        None => builder.with_no_client_auth(),
        Some(credential) => {
            let chain = certificates(credential.chain_pem.as_bytes())
                .map_err(|reason| LinkError::Setup(format!("certificate: {reason}")))?;
            let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes())
                .map_err(|e| LinkError::Setup(format!("private key: {e}")))?;
            builder.with_client_auth_cert(chain, key).map_err(setup)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The text of the error at the bottom of the chain: the layers above only say "transport error".
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

/// What a failed call says, with the connection's own error where there was one.
pub(crate) fn describe(status: &tonic::Status) -> String {
    match status.source() {
        Some(source) => format!("{} ({})", status.message(), innermost(source)),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

#[cfg(test)]
mod tests;
