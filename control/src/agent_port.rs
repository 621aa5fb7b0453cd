//! The one port for agents: TLS 1.3, client certificate optional at this layer. The services
//! decide what a caller without one may do; here it is bounded in number, rate and time.

mod admission;
mod connection;
mod members;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use admission::Admission;
pub(crate) use admission::{Bucket, Rates, source};
use connection::Held;
pub(crate) use connection::{AgentConnection, Peer};
use members::Members;
pub(crate) use tls::AgentTls;

use crate::strangers::StrangerLog;

/// A peer that has not finished its handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that wait for the gRPC server to take them.
const ACCEPTED_QUEUE: usize = 16;
/// After an accept error such as "too many open files", so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts connections until `shutdown`, and hands those with a finished handshake to `accepted`.
/// Counts in `refused` those that are not let in.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: AgentTls,
    accepted: mpsc::Sender<AgentConnection>,
    refused: Arc<AtomicU64>,
    shutdown: CancellationToken,
) {
    let doors = Doors {
        log: Arc::new(StrangerLog::counting(refused)),
        ..Doors::default()
    };
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = handshakes.join_next() => {}
            result = listener.accept() => match result {
                Ok((stream, address)) => {
                    let Some(place) = doors.take(&doors.handshakes, address) else {
                        continue;
                    };
                    let (acceptor, accepted) = (tls.acceptor(), accepted.clone());
                    let doors = doors.clone();
                    handshakes.spawn(async move {
                        if let Some(tls) = handshake(stream, address, acceptor, &doors.log).await {
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
    log: &StrangerLog,
) -> Option<TlsStream<TcpStream>> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, %error, "cannot disable Nagle's algorithm");
    }
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => Some(tls),
        Ok(Err(error)) => {
            log.note(address, "TLS handshake with an agent failed", &error);
            None
        }
        Err(slow) => {
            log.note(address, "TLS handshake with an agent failed", &slow);
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
    let held = match &certificate {
        Some(certificate) => doors.member(certificate, address),
        None => doors
            .take(&doors.strangers, address)
            .map(|place| Held::Stranger { _place: place }),
    };
    let Some(held) = held else {
        return;
    };
    let peer = Peer {
        address,
        certificate,
    };
    if accepted
        .send(AgentConnection::new(tls, peer, held))
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
    members: Members,
    log: Arc<StrangerLog>,
}

impl Doors {
    fn take(&self, admission: &Arc<Mutex<Admission>>, address: SocketAddr) -> Option<Place> {
        let result = admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .enter(address.ip(), Instant::now().into_std());
        match result {
            Ok(()) => Some(Place {
                admission: admission.clone(),
                address: address.ip(),
            }),
            Err(refusal) => {
                self.log.note(address, "agent connection refused", &refusal);
                None
            }
        }
    }

    fn member(&self, certificate: &[u8], address: SocketAddr) -> Option<Held> {
        let place = self.members.enter(certificate);
        if place.is_none() {
            let reason = "too many connections with this certificate";
            self.log.note(address, "agent connection refused", &reason);
        }
        place.map(|place| Held::Member { _place: place })
    }
}

/// A place among connections of a kind; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Mutex<Admission>>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .leave(self.address);
    }
}
