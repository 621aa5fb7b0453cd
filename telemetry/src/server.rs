//! The HTTP server of `/livez`, `/readyz` and `/metrics`: bounded in connections, size and time.
//! It reads nothing but the first line of a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::page::Page;

/// Connections at a time; others wait to be accepted.
const CONNECTIONS_MAX: usize = 8;
/// From the first byte to the last: whoever does not send or read in time is cut.
const CONNECTION_MAX: Duration = Duration::from_secs(15);
const HEADER_MAX: Duration = Duration::from_secs(5);
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// An answer that takes longer is a failure.
const ANSWER_MAX: Duration = Duration::from_secs(8);
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told; asked anew for each request.
pub trait Source: Send + Sync + 'static {
    /// Whether the process does its work, whatever the rest of the world does. If not, it should
    /// be restarted.
    ///
    /// # Errors
    /// One line for each thing that is stuck.
    fn live(&self) -> Result<(), Vec<String>>;

    /// Whether it can do what it is for, now.
    ///
    /// # Errors
    /// One line for each thing that is missing.
    fn ready(&self) -> impl Future<Output = Result<(), Vec<String>>> + Send;

    /// The page of metrics.
    fn metrics(&self) -> impl Future<Output = Page> + Send;
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for health and metrics (telemetry_listen): {source}")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Opens `address`.
///
/// # Errors
/// [`ListenError`].
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError { address, source })
}

/// Answers until `stop`. Each connection has one request.
pub async fn serve<S: Source>(listener: TcpListener, source: Arc<S>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            next = next => next,
        };
        let (Ok(place), Some(stream)) = (place, accepted) else {
            continue;
        };
        let source = Arc::clone(&source);
        connections.spawn(async move {
            let talked = tokio::time::timeout(CONNECTION_MAX, talk(stream, &*source));
            if talked.await.is_err() {
                tracing::debug!("whoever asked for health or metrics took too long");
            }
            drop(place);
        });
    }
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "cannot accept a connection for health and metrics");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn talk<S: Source>(stream: TcpStream, source: &S) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(source, request.method(), request.uri().path()).await)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection for health and metrics ended early");
    }
}

async fn answer<S: Source>(source: &S, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        let text = "there are /livez, /readyz and /metrics\n";
        return respond(StatusCode::NOT_FOUND, TEXT, text.to_owned());
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let text = "only GET and HEAD\n".to_owned();
        let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        return refused;
    }
    let answered = async {
        match path {
            "/livez" => verdict(source.live()),
            "/readyz" => verdict(source.ready().await),
            _ => respond(StatusCode::OK, METRICS, source.metrics().await.render()),
        }
    };
    let late = || {
        let text = format!("no answer within {} s\n", ANSWER_MAX.as_secs());
        respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
    };
    tokio::time::timeout(ANSWER_MAX, answered)
        .await
        .unwrap_or_else(|_| late())
}

fn verdict(result: Result<(), Vec<String>>) -> Response<Full<Bytes>> {
    match result {
        Ok(()) => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
        Err(missing) => {
            let text = missing.join("\n") + "\n";
            respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
        }
    }
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    struct Silent;

    impl Source for Silent {
        fn live(&self) -> Result<(), Vec<String>> {
            Ok(())
        }

        async fn ready(&self) -> Result<(), Vec<String>> {
            std::future::pending().await
        }

        async fn metrics(&self) -> Page {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_a_failure() {
        for path in ["/readyz", "/metrics"] {
            let answer = answer(&Silent, &Method::GET, path).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "no answer within 8 s\n");
        }
        let alive = answer(&Silent, &Method::GET, "/livez").await;
        assert_eq!(alive.status(), StatusCode::OK);
    }
}
