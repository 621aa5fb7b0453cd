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
use tokio_util::sync::CancellationToken;

use admission::{Admission, Limits};
pub(crate) use admission::{Bucket, Rates};
pub(crate) use connection::{AgentConnection, Peer};

use crate::ca::{Authority, CaError, ServerIdentity};

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
    identity: ServerIdentity,
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
        .with_single_cert(identity.chain, identity.key)
        .map_err(|e| broken(&e))?;
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
    let admission = Arc::new(Mutex::new(Admission::new(Limits::default())));
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = handshakes.join_next() => {}
            result = listener.accept() => match result {
                Ok((stream, address)) => {
                    let Some(place) = Place::take(&admission, address.ip()) else {
                        continue;
                    };
                    let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
                    handshakes.spawn(async move {
                        handshake(stream, address, acceptor, place, accepted).await;
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
    mut place: Place,
    accepted: mpsc::Sender<AgentConnection>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, %error, "cannot disable Nagle's algorithm");
    }
    let tls = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::info!(%address, %error, "TLS handshake with an agent failed");
            return;
        }
        Err(_) => {
            tracing::info!(%address, "TLS handshake with an agent took too long");
            return;
        }
    };
    let certificate = tls
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.clone().into_owned());
    // An agent with a certificate no longer counts against the places of strangers.
    let place = if certificate.is_some() {
        place.release();
        None
    } else {
        Some(place)
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

/// A place among the connections that have not shown a certificate; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Option<Arc<Mutex<Admission>>>,
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
                admission: Some(admission.clone()),
                address,
            }),
            Err(refusal) => {
                tracing::info!(%address, %refusal, "agent connection refused");
                None
            }
        }
    }

    fn release(&mut self) {
        if let Some(admission) = self.admission.take() {
            admission
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .leave(self.address);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.release();
    }
}
