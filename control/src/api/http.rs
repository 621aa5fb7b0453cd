//! The HTTP server in front of the operations: bounded in connections, time and size.

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
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Api, request};

/// Bounds of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub(crate) connections_max: usize,
    pub(crate) handshake: Duration,
    /// For the head of a request, and so for an idle connection too.
    pub(crate) header: Duration,
    /// For the body of a request.
    pub(crate) body: Duration,
    /// How long requests in progress may take to end at shutdown.
    pub(crate) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 512,
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
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => {
                let Some((stream, address, place)) = accepted else { continue };
                let (api, acceptor) = (api.clone(), acceptor.clone());
                let serving = Serving { limits, shutdown: shutdown.clone() };
                connections.spawn(async move {
                    connection(api, stream, address, acceptor, serving).await;
                    drop(place);
                });
            }
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("API requests were still in progress at shutdown and are cut off");
        connections.shutdown().await;
    }
}

/// What every connection is served under.
struct Serving {
    limits: Limits,
    shutdown: CancellationToken,
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept an API connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    api: Api,
    stream: TcpStream,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    serving: Serving,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, %error, "cannot disable Nagle's algorithm");
    }
    let Some(acceptor) = acceptor else {
        return talk(api, stream, address, serving).await;
    };
    match tokio::time::timeout(serving.limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => talk(api, tls, address, serving).await,
        Ok(Err(error)) => tracing::info!(%address, %error, "TLS handshake with a client failed"),
        Err(_) => tracing::info!(%address, "TLS handshake with a client took too long"),
    }
}

async fn talk(
    api: Api,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    Serving { limits, shutdown }: Serving,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let api = api.clone();
        async move {
            let response: hyper::Response<Full<Bytes>> =
                request::answer(&api, request, address, limits.body).await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%address, %error, "an API connection ended early");
    }
}

#[cfg(test)]
mod tests;
