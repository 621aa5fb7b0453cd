//! Reading one object: what HEAD tells of it, and its content.

use std::sync::{Arc, OnceLock};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use datasync_endpoint::{EndpointError, ErrorKind};

use super::signature::HeaderList;
use super::{Lean, Read, answer, not_made};
use crate::calls::Operation;
use crate::destination::Store;
use crate::error::{Refusal, from_sdk, not_answered};
use crate::put::CHECKSUMS;

/// What is asked of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// HeadObject or GetObject.
    pub(crate) operation: Operation,
    pub(crate) object_key: &'a str,
    /// For errors.
    pub(crate) target: &'a str,
    /// The first and the last byte; `None` for all.
    pub(crate) range: Option<(u64, u64)>,
    /// Only an object of this ETag is wanted.
    pub(crate) etag: Option<&'a str>,
}

/// A success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: Headers,
    pub(crate) body: SdkBody,
}

impl Ask<'_> {
    fn range(&self) -> Option<String> {
        let (first, last) = self.range?;
        Some(format!("bytes={first}-{last}"))
    }

    fn is_head(&self) -> bool {
        self.operation == Operation::HeadObject
    }

    fn headers(&self) -> HeaderList {
        let mut headers = HeaderList::new();
        if let Some(etag) = self.etag {
            headers.push(("if-match".into(), etag.to_owned()));
        }
        match self.range() {
            Some(range) => headers.push(("range".into(), range)),
            // Stores tell the checksum of a whole object only.
            None => headers.push(("x-amz-checksum-mode".into(), CHECKSUMS.as_str().to_owned())),
        }
        headers
    }
}

/// Takes the headers of an answer that the SDK interprets.
#[derive(Debug, Clone, Default)]
struct AnswerHeaders(Arc<OnceLock<Headers>>);

impl Intercept for AnswerHeaders {
    fn name(&self) -> &'static str {
        "AnswerHeaders"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.get_or_init(|| context.response().headers().clone());
        Ok(())
    }
}

impl Store {
    /// Begins to read; the caller has a turn, and bounds the wait.
    pub(crate) async fn ask_object(&self, ask: Ask<'_>) -> Result<Answer, EndpointError> {
        if let Some(lean) = &self.lean {
            if let Some(answer) = self.lean_object(lean, ask).await? {
                return Ok(answer);
            }
            self.requests.calls.count(ask.operation);
        }
        self.sdk_object(ask).await
    }

    /// `Ok(None)`: the answer is one for the SDK.
    async fn lean_object(
        &self,
        lean: &Lean,
        ask: Ask<'_>,
    ) -> Result<Option<Answer>, EndpointError> {
        let Ask {
            operation, target, ..
        } = ask;
        let credentials = lean.credentials(operation, target).await?;
        let read = Read {
            method: if ask.is_head() { "HEAD" } else { "GET" },
            object_key: ask.object_key,
            query: "",
            headers: ask.headers(),
        };
        let request = lean
            .signed_read(read, &credentials, &self.requests.clock)
            .map_err(|error| not_made(&error, operation, target))?;
        let answer = lean.connector.call(request).await;
        let mut answer = answer.map_err(|error| not_answered(&error, operation, target))?;
        let body = answer.take_body();
        if answer.status().is_success() {
            let headers = std::mem::take(answer.headers_mut());
            return Ok(Some(Answer { headers, body }));
        }
        if ask.is_head() && answer.status().as_u16() == 404 {
            let refusal = Refusal {
                status: 404,
                ..Refusal::default()
            };
            return Err(refusal.into_error(operation, target, &self.requests.clock));
        }
        let body = answer::document(body).await;
        self.refused(&answer, &body, operation, target)?;
        Ok(None)
    }

    async fn sdk_object(&self, ask: Ask<'_>) -> Result<Answer, EndpointError> {
        let Ask {
            operation, target, ..
        } = ask;
        let taken = AnswerHeaders::default();
        let etag = ask.etag.map(str::to_owned);
        let clock = &self.requests.clock;
        let body = if ask.is_head() {
            let request = self.client.head_object().bucket(&self.place.bucket);
            let request = request.key(ask.object_key).set_if_match(etag);
            let request = request.checksum_mode(CHECKSUMS).customize();
            let sent = Box::pin(request.interceptor(taken.clone()).send()).await;
            sent.map_err(|error| from_sdk(&error, operation, target, clock))?;
            SdkBody::empty()
        } else {
            let request = self.client.get_object().bucket(&self.place.bucket);
            let request = request.key(ask.object_key).set_if_match(etag);
            let request = request.set_range(ask.range()).customize();
            let sent = Box::pin(request.interceptor(taken.clone()).send()).await;
            let output = sent.map_err(|error| from_sdk(&error, operation, target, clock))?;
            output.body.into_inner()
        };
        let headers = taken.0.get().cloned().ok_or_else(|| {
            let detail = "the store answered without headers";
            EndpointError::new(ErrorKind::Protocol, operation.name(), target, detail)
        })?;
        Ok(Answer { headers, body })
    }
}
