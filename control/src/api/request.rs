//! One HTTP request: bounded body, signature, dispatch, answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use jiff::Timestamp;
use serde_json::Value;

use super::body;
use super::call::Call;
use super::error::ApiError;
use super::http::Answering;
use super::{Api, operations, shapes};
use crate::audit::{Entry, Outcome};
use crate::auth::{self, AuthError, Authorization, SignedRequest};
use crate::records::AccessKey;
use crate::reports::published;
use crate::uuid;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// Where the public keys of task reports are, for everybody.
const REPORT_KEYS: &str = "/report-keys";
const TARGET_PREFIX: &str = "FmrsService.";

/// Whoever sends a request.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) address: SocketAddr,
    /// The body arrives within this time.
    pub(super) body_timeout: Duration,
    /// The connection's place.
    pub(super) answering: &'a Answering,
}

/// Answers one request.
pub(super) async fn answer(
    api: &Api,
    request: Request<Incoming>,
    caller: &Caller<'_>,
) -> Response<Full<Bytes>> {
    let began = Instant::now();
    let id = request_id();
    if request.method() == Method::GET && request.uri().path() == REPORT_KEYS {
        return respond_report_keys(api, &id).await;
    }
    let mut pending = api.audit.begin(Entry::new(&id, caller.address)).await;
    let target = request
        .headers()
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none")
        .to_owned();
    let result = Box::pin(handle(api, request, caller, &mut pending.entry)).await;
    let (status, body) = match result {
        Ok(body) => {
            tracing::debug!(request_id = %id, %target, "answered");
            pending.entry.names(&body);
            pending.decided(Outcome::Answered).await;
            (200, body)
        }
        Err(error) => {
            // What strangers do is in the audit log, up to a number of lines.
            if pending.entry.is_authenticated() {
                tracing::info!(request_id = %id, %target, status = error.status, kind = error.kind(), event = "call.refused", "refused");
            }
            let refused = Outcome::Refused(error.kind(), error.status);
            pending.decided(refused).await;
            (error.status, error.body())
        }
    };
    api.meters
        .calls
        .count(operation(&target), status, began.elapsed());
    respond(status, &id, &body)
}

/// The operation as it is counted: whatever strangers ask for, there are only so many.
fn operation(target: &str) -> &str {
    target
        .strip_prefix(TARGET_PREFIX)
        .filter(|name| shapes::input_of(name).is_some())
        .unwrap_or("unknown")
}

/// The answer to a request that came when its connection's place was another's.
pub(super) fn unavailable() -> Response<Full<Bytes>> {
    let error = ApiError::unavailable();
    respond(error.status, &request_id(), &error.body())
}

fn request_id() -> String {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return "unavailable".to_owned();
    }
    uuid::text(random)
}

async fn respond_report_keys(api: &Api, id: &str) -> Response<Full<Bytes>> {
    let keys: Result<_, ApiError> = api.store.read(|rows| Ok(published(rows)?)).await;
    match keys.map(|keys| serde_json::json!(keys)) {
        Ok(keys) => respond(200, id, &keys),
        Err(error) => respond(error.status, id, &error.body()),
    }
}

fn respond(status: u16, id: &str, body: &Value) -> Response<Full<Bytes>> {
    let text = body.to_string();
    let response = Response::builder()
        .status(status)
        .header("content-type", CONTENT_TYPE)
        .header("x-amzn-requestid", id)
        .body(Full::new(Bytes::from(text)));
    response.unwrap_or_else(|_| {
        let mut plain = Response::new(Full::new(Bytes::new()));
        *plain.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}

async fn handle(
    api: &Api,
    request: Request<Incoming>,
    caller: &Caller<'_>,
    entry: &mut Entry,
) -> Result<Value, ApiError> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST || head.uri.path() != "/" || head.uri.query().is_some() {
        return Err(ApiError::not_routed(format!(
            "{} {} is not part of the API: every operation is POST / with X-Amz-Target.",
            head.method,
            head.uri.path()
        )));
    }
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix(TARGET_PREFIX));
    if let Some(target) = target {
        entry.asks_for(target);
    }
    let authorization = Authorization::of(&head.headers)?;
    entry.claimed_by(&authorization.access_key_id);
    let room = (&api.body_room, caller.address.ip());
    let body = body::read(body, room, caller.body_timeout).await?;
    let body = &body.bytes;
    let now = Timestamp::now();
    let key = authenticate(api, &authorization, &head.headers, body, now).await?;
    entry.signed_by(&key);
    if !caller.answering.keep() {
        return Err(ApiError::unavailable());
    }
    let target = target.ok_or_else(|| {
        ApiError::unknown_operation("X-Amz-Target must be FmrsService.<operation>.")
    })?;
    let members = object(body);
    if let Ok(members) = &members {
        entry.names(members);
    }
    authorize(api, &key, target)?;
    let members = members?;
    // Without an invocation id, the same signature means the same bytes.
    let attempt = head
        .headers
        .get("amz-sdk-invocation-id")
        .map_or(authorization.signature.as_slice(), |id| id.as_bytes());
    let identity = Call::identity(&authorization.access_key_id, attempt, target, body);
    let call = Call::new(api, target, members, now, Some(identity));
    operations::dispatch(target, call).await
}

async fn authenticate(
    api: &Api,
    authorization: &Authorization,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<AccessKey, ApiError> {
    let (id, sealer) = (authorization.access_key_id.clone(), api.sealer.clone());
    // On the store's thread: to know the sealing key takes a look at its file.
    let opened = api.store.read(move |tx| {
        let row = tx.get::<AccessKey>(&id)?.map(|row| row.record);
        let key = row
            .filter(|key| !key.disabled)
            .ok_or(AuthError::UnknownKey)?;
        let secret = key.open_secret(&sealer)?;
        Ok::<_, ApiError>((key, secret))
    });
    let (key, secret) = opened.await?;
    let request = SignedRequest {
        method: "POST",
        headers,
        body,
    };
    let region = api.settings.home.region.as_str();
    auth::verify(request, authorization, &secret, region, now)?;
    Ok(key)
}

/// Whether the key may call the operation.
fn authorize(api: &Api, key: &AccessKey, operation: &str) -> Result<(), ApiError> {
    if key.access.allows(operation) {
        return Ok(());
    }
    let home = &api.settings.home;
    let name = key.name.as_deref().unwrap_or(&key.access_key_id);
    let user = format!("arn:{}:iam::{}:user/{name}", home.partition, home.account);
    Err(ApiError::access_denied(&user, operation))
}

/// Every operation takes one JSON object; an empty body stands for an empty one.
pub(super) fn object(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ApiError::serialization(
            "The request body must be a JSON object.",
        )),
        Err(error) => Err(ApiError::serialization(format!(
            "The request body is not JSON: {error}"
        ))),
    }
}
