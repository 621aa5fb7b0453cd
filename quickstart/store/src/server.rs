//! HTTP/1.1 in front of the operations; every connection is a task of one set.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use quickstart_serving::connections;
use s3s::HttpResponse;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::{AccessKeys, Gate, RequestControl};
use crate::config::StoreConfig;
use crate::disk::blocking;
use crate::expect::{Expecting, Owed};
use crate::ops::Store;
use crate::unread::{SharedBody, expects_continue, settle};

/// Connections served at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 1024;

const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Also how long an idle connection is kept.
const HEADERS_MAX: Duration = Duration::from_secs(120);

/// Requests that are still running this long after shutdown are cut off.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Serves the store on `listener` until `shutdown`; with `tls`, over HTTPS.
///
/// Fails if the root cannot be read; ready once the listener accepts (connections that come
/// earlier wait).
pub async fn serve(
    listener: TcpListener,
    config: StoreConfig,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (keys, gate) = (
        AccessKeys::new(&config.access_keys),
        Gate(config.faults.clone()),
    );
    let store = blocking(move || Store::open(config)).await??;
    let mut builder = S3ServiceBuilder::new(store);
    builder.set_auth(keys);
    builder.set_access(gate);
    let server = Server {
        service: builder.build(),
        tls: tls.map(TlsAcceptor::from),
        shutdown,
    };
    server.accept(listener).await;
    Ok(())
}

#[derive(Clone)]
struct Server {
    service: S3Service,
    tls: Option<TlsAcceptor>,
    shutdown: CancellationToken,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        let serve = |stream, _| {
            let server = self.clone();
            async move { server.connection(stream).await }
        };
        let mut running = connections(listener, CONNECTIONS_MAX, &self.shutdown, serve).await;
        let drained = async { while running.join_next().await.is_some() {} };
        if timeout(DRAIN_MAX, drained).await.is_err() {
            running.shutdown().await;
        }
    }

    async fn connection(&self, stream: TcpStream) {
        let Some(tls) = &self.tls else {
            return self.requests(stream).await;
        };
        match timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.requests(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        }
    }

    async fn requests(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let cut = CancellationToken::new();
        let owed = Owed::default();
        let answer = service_fn(|request: http::Request<Incoming>| {
            owed.note(request.headers());
            self.answer(request, cut.clone())
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_MAX)
            .serve_connection(TokioIo::new(Expecting::new(stream, owed.clone())), answer);
        let mut connection = std::pin::pin!(connection);
        let mut draining = false;
        loop {
            tokio::select! {
                () = cut.cancelled() => return,
                () = self.shutdown.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection");
                    }
                    return;
                }
            }
        }
    }

    async fn answer(
        &self,
        mut request: http::Request<Incoming>,
        cut: CancellationToken,
    ) -> Result<HttpResponse, Infallible> {
        let control = RequestControl::new(cut);
        request.extensions_mut().insert(control.clone());
        let expects = expects_continue(request.headers());
        let (head, body) = request.into_parts();
        let body = SharedBody::new(body);
        let shared = s3s::Body::http_body_unsync(body.clone());
        let answer = self
            .service
            .call(http::Request::from_parts(head, shared))
            .await;
        if control.loses_reply() {
            control.connection.cancel();
            std::future::pending::<()>().await;
        }
        let mut answer = answer.unwrap_or_else(|error| {
            tracing::error!(?error, "a reply could not be written");
            let mut reply = HttpResponse::default();
            *reply.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            reply
        });
        settle(body, expects, &mut answer).await;
        Ok(answer)
    }
}
