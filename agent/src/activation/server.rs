//! The HTTP server that answers activation requests. Open until the agent is activated.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::bucket::Bucket;
use super::enroll::{EnrollError, Enroller};
use super::request::{ActivationRequest, Answer, Refusal};
use super::tickets::Lead;

const CONNECTIONS_MAX: usize = 16;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Clients of activation wait 10 s.
const KEY_TIMEOUT: Duration = Duration::from_secs(9);
const BUFFER_BYTES_MAX: usize = 16 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct Desk {
    enroller: Enroller,
    leads: mpsc::Sender<Lead>,
    bucket: Mutex<Bucket>,
}

/// Serves until `stop`, then finishes the replies that are under way.
pub(super) async fn serve(
    listener: TcpListener,
    enroller: Enroller,
    leads: mpsc::Sender<Lead>,
    stop: CancellationToken,
) {
    let desk = Arc::new(Desk {
        enroller,
        leads,
        bucket: Mutex::new(Bucket::full(Instant::now())),
    });
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Above the cap the connection is closed: nobody waits in a queue that an
                // attacker fills.
                if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                    let (desk, stop) = (Arc::clone(&desk), stop.clone());
                    connections.spawn(async move {
                        converse(stream, desk, stop).await;
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for activation");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, desk: Arc<Desk>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(respond(&desk, &request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let finished = tokio::time::timeout(CONNECTION_TIMEOUT, async {
        tokio::select! {
            result = connection.as_mut() => result,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        }
    })
    .await;
    // A client that leaves or breaks the protocol is its own affair.
    match finished {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "activation connection failed"),
        Err(_) => tracing::debug!("activation connection timed out"),
    }
}

async fn respond<B>(desk: &Desk, request: &Request<B>) -> Response<Full<Bytes>> {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    match ActivationRequest::parse(request.method().as_str(), uri.path(), query) {
        Ok(request) => desk.answer(&request).await,
        Err(answer) => to_response(answer),
    }
}

impl Desk {
    async fn answer(&self, request: &ActivationRequest) -> Response<Full<Bytes>> {
        let taken = self
            .bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(Instant::now());
        if let Err(wait) = taken {
            let seconds = wait.as_secs() + 1;
            let text = format!("too many activation requests; try again in {seconds} s");
            let mut response = to_response(Answer::error(429, text));
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
            return response;
        }
        to_response(match self.key(request).await {
            Ok(key) => request.granted(key.reveal()),
            Err(refusal) => {
                tracing::warn!(?refusal, "no activation key from control");
                request.refused(&refusal)
            }
        })
    }

    async fn key(
        &self,
        request: &ActivationRequest,
    ) -> Result<datasync_model::ActivationKey, Refusal> {
        let asked = self.enroller.request_key(&request.region);
        let (key, ticket) = match tokio::time::timeout(KEY_TIMEOUT, asked).await {
            Ok(Ok(issued)) => issued,
            Ok(Err(EnrollError::Transient(reason))) => return Err(Refusal::Unreachable(reason)),
            Ok(Err(EnrollError::Refused { code, reason })) => {
                if code == Code::AlreadyExists {
                    self.follow(Lead::KeyPair).await?;
                }
                return Err(Refusal::Refused(reason));
            }
            Err(_) => {
                let reason = format!("no answer within {} s", KEY_TIMEOUT.as_secs());
                return Err(Refusal::Unreachable(reason));
            }
        };
        self.follow(Lead::Ticket(ticket)).await?;
        tracing::info!(
            region = String::from(request.region.clone()),
            endpoint_type = ?request.endpoint_type,
            "handed out an activation key"
        );
        Ok(key)
    }

    async fn follow(&self, lead: Lead) -> Result<(), Refusal> {
        self.leads
            .send(lead)
            .await
            .map_err(|_| Refusal::Refused("the agent is being activated or stopped".to_owned()))
    }
}

fn to_response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.text)));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    // The reply is a secret.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(location) = answer
        .location
        .and_then(|text| HeaderValue::try_from(text).ok())
    {
        headers.insert(LOCATION, location);
    }
    response
}
