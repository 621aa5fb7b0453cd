//! The HTTP server in front of the operations: bounded in connections, time and size.

mod places;
mod seats;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(super) use places::Answering;
use places::{NoPlace, Place, Places};
pub(crate) use seats::SeatLimits;

use super::{Api, request};
use crate::strangers::StrangerLog;

/// Bounds of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: SeatLimits,
    pub(crate) handshake: Duration,
    /// For the head of a request, and so for an idle connection too.
    pub(crate) header: Duration,
    /// For the body of a request.
    pub(crate) body: Duration,
    /// How long requests in progress may take to end at shutdown.
    pub(crate) drain: Duration,
}

impl Limits {
    pub(crate) fn new(connections: SeatLimits) -> Self {
        Self {
            connections,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(30),
            body: Duration::from_secs(30),
            drain: Duration::from_secs(20),
        }
    }
}

/// What a connection may hold of a request's head.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `shutdown`, then lets requests in progress end.
///
/// Without `tls` this is plain HTTP: whoever calls sees to it that the listener may.
pub(crate) async fn serve(
    api: Api,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Places::new(limits.connections);
    let strangers = Arc::new(StrangerLog::counting(api.meters.api_refused.clone()));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        let Some((stream, address)) = accepted else {
            continue;
        };
        let placed = tokio::select! {
            () = shutdown.cancelled() => break,
            placed = place(&places, address, &strangers) => placed,
        };
        let Some(place) = placed else {
            continue;
        };
        let serving = Serving {
            api: api.clone(),
            acceptor: acceptor.clone(),
            strangers: strangers.clone(),
            limits,
            shutdown: shutdown.clone(),
        };
        connections.spawn(async move { serving.connection(stream, address, place).await });
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("API requests were still in progress at shutdown and are cut off");
        connections.shutdown().await;
    }
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "cannot accept an API connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// A place for a new connection, which may take a while; none if its address has too many.
async fn place(
    places: &Arc<Places>,
    address: SocketAddr,
    strangers: &StrangerLog,
) -> Option<Arc<Place>> {
    loop {
        match places.enter(address.ip()) {
            Ok(place) => return Some(Arc::new(place)),
            Err(NoPlace::Refused) => {
                strangers.note(
                    address,
                    "API connection refused",
                    &"its address has too many",
                );
                return None;
            }
            Err(NoPlace::AllBusy) => places.changed().await,
        }
    }
}

/// What every connection is served with.
struct Serving {
    api: Api,
    acceptor: Option<TlsAcceptor>,
    strangers: Arc<StrangerLog>,
    limits: Limits,
    shutdown: CancellationToken,
}

impl Serving {
    async fn connection(self, stream: TcpStream, address: SocketAddr, place: Arc<Place>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "cannot disable Nagle's algorithm");
        }
        tokio::select! {
            () = place.must_yield() => {
                tracing::debug!(%address, "an API connection yields to a new one");
            }
            () = self.secured(stream, address, &place) => {}
        }
    }

    async fn secured(&self, stream: TcpStream, address: SocketAddr, place: &Arc<Place>) {
        let Some(acceptor) = &self.acceptor else {
            return self.talk(stream, address, place).await;
        };
        match tokio::time::timeout(self.limits.handshake, acceptor.accept(stream)).await {
            Ok(Ok(tls)) => self.talk(tls, address, place).await,
            Ok(Err(error)) => {
                self.strangers
                    .note(address, "TLS handshake with a client failed", &error);
            }
            Err(slow) => {
                self.strangers
                    .note(address, "TLS handshake with a client failed", &slow);
            }
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
        place: &Arc<Place>,
    ) {
        let service = service_fn(|request: hyper::Request<Incoming>| async move {
            let response: hyper::Response<Full<Bytes>> = match place.answering() {
                Some(answering) => {
                    let caller = request::Caller {
                        address,
                        body_timeout: self.limits.body,
                        answering: &answering,
                    };
                    request::answer(&self.api, request, &caller).await
                }
                None => request::unavailable(),
            };
            Ok::<_, Infallible>(response)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%address, %error, "an API connection ended early");
        }
    }
}

#[cfg(test)]
mod tests;
