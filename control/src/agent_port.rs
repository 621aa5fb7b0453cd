//! The one port for agents: TLS 1.3, client certificate optional at this layer. The services
//! decide what a caller without one may do; here it is bounded in number, rate and time.

mod admission;
mod connection;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use admission::Admission;
pub(crate) use admission::{Bucket, Rates, source};
pub(crate) use connection::{AgentConnection, Peer};

use crate::ca::{Authority, CaError};
use crate::served_certificate::ServedCertificate;

/// A peer that has not finished its handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that wait for the gRPC server to take them.
const ACCEPTED_QUEUE: usize = 16;
/// After an accept error such as "too many open files", so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// TLS for agents: our certificate, and client certificates of our CA if any is shown.
///
/// # Errors
/// [`CaError::Broken`] if rustls refuses the certificates.
pub(crate) fn tls_config(
    authority: &Authority,
    certificate: Arc<ServedCertificate>,
) -> Result<rustls::ServerConfig, CaError> {
    let broken = |reason: &dyn std::fmt::Display| CaError::Broken {
        what: "TLS for agents".to_owned(),
        reason: reason.to_string(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.certificate().clone())
        .map_err(|e| broken(&e))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| broken(&e))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| broken(&e))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Accepts connections until `shutdown`, and hands those with a finished handshake to `accepted`.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    accepted: mpsc::Sender<AgentConnection>,
    shutdown: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls);
    let doors = Doors::default();
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = handshakes.join_next() => {}
            result = listener.accept() => match result {
                Ok((stream, address)) => {
                    let Some(place) = Place::take(&doors.handshakes, address.ip()) else {
                        continue;
                    };
                    let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
                    let doors = doors.clone();
                    handshakes.spawn(async move {
                        if let Some(tls) = handshake(stream, address, acceptor).await {
                            admit(tls, address, &doors, accepted).await;
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an agent's connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    handshakes.shutdown().await;
}

/// The channel between [`accept`] and the gRPC server.
pub(crate) fn accepted_channel() -> (
    mpsc::Sender<AgentConnection>,
    mpsc::Receiver<AgentConnection>,
) {
    mpsc::channel(ACCEPTED_QUEUE)
}

async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
) -> Option<TlsStream<TcpStream>> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, %error, "cannot disable Nagle's algorithm");
    }
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => Some(tls),
        Ok(Err(error)) => {
            tracing::info!(%address, %error, "TLS handshake with an agent failed");
            None
        }
        Err(_) => {
            tracing::info!(%address, "TLS handshake with an agent took too long");
            None
        }
    }
}

/// Hands the connection on: an agent with a certificate at once, a stranger if there is a place.
async fn admit(
    tls: TlsStream<TcpStream>,
    address: SocketAddr,
    doors: &Doors,
    accepted: mpsc::Sender<AgentConnection>,
) {
    let certificate = tls
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.clone().into_owned());
    let place = if certificate.is_some() {
        None
    } else {
        match Place::take(&doors.strangers, address.ip()) {
            Some(place) => Some(place),
            None => return,
        }
    };
    let peer = Peer {
        address,
        certificate,
    };
    if accepted
        .send(AgentConnection::new(tls, peer, place))
        .await
        .is_err()
    {
        tracing::debug!(%address, "connection dropped: control is stopping");
    }
}

/// Who stands at the port. Handshakes, which end within seconds, have places of their own:
/// strangers that stay cannot keep agents with a certificate out.
#[derive(Debug, Clone, Default)]
struct Doors {
    handshakes: Arc<Mutex<Admission>>,
    strangers: Arc<Mutex<Admission>>,
}

/// A place among connections of a kind; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Mutex<Admission>>,
    address: IpAddr,
}

impl Place {
    fn take(admission: &Arc<Mutex<Admission>>, address: IpAddr) -> Option<Self> {
        let result = admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .enter(address, Instant::now().into_std());
        match result {
            Ok(()) => Some(Self {
                admission: admission.clone(),
                address,
            }),
            Err(refusal) => {
                tracing::info!(%address, %refusal, "agent connection refused");
                None
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .leave(self.address);
    }
}
