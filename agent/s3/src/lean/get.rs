//! Documents that tell of the bucket.

use std::pin::pin;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use bytes::Bytes;
use datasync_endpoint::{EndpointError, ErrorKind};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{Lean, answer, not_made, page};
use crate::bounded::DOCUMENT_MAX;
use crate::calls::Operation;
use crate::destination::Store;
use crate::error::not_answered;
use crate::listing::{PAGE, RawPage};
use crate::place::in_query;
use crate::requests::Wait;

/// A question about the bucket.
#[derive(Debug, Clone, Copy)]
struct Ask<'a> {
    operation: Operation,
    /// For errors.
    target: &'a str,
    query: &'a str,
}

fn broken_off(
    error: &(dyn std::error::Error + 'static),
    operation: Operation,
    target: &str,
) -> EndpointError {
    if error.is::<LengthLimitError>() {
        let detail = format!("the answer is longer than any listing: {error}");
        return EndpointError::new(ErrorKind::Protocol, operation.name(), target, detail);
    }
    not_answered(error, operation, target)
}

impl Store {
    /// A page of the objects after `start`; `Ok(None)`: the answer is one for the SDK.
    pub(crate) async fn lean_page(
        &self,
        lean: &Lean,
        start: Option<&str>,
    ) -> Result<Option<RawPage>, EndpointError> {
        let prefix = &self.place.prefix;
        let mut query = format!("encoding-type=url&list-type=2&max-keys={PAGE}");
        for (name, value) in [
            ("prefix", prefix.as_str()),
            ("start-after", start.unwrap_or("")),
        ] {
            if !value.is_empty() {
                query.push_str(&format!("&{name}={}", in_query(value)));
            }
        }
        let ask = Ask {
            operation: Operation::ListObjectsV2,
            target: &self.place.target(prefix),
            query: &query,
        };
        let document = self.lean_get(lean, ask).await?;
        Ok(document.as_deref().and_then(page::read))
    }

    /// The document that answers a question; `Ok(None)`: the answer is one for the SDK.
    async fn lean_get(&self, lean: &Lean, ask: Ask<'_>) -> Result<Option<Bytes>, EndpointError> {
        let Ask {
            operation,
            target,
            query,
        } = ask;
        let _turn = self.requests.turn(operation, target).await?;
        let exchange = pin!(async {
            let credentials = lean.credentials(operation, target).await?;
            let request = lean
                .signed_get(query, &credentials, &self.requests.clock)
                .map_err(|error| not_made(&error, operation, target))?;
            let answer = lean.connector.call(request).await;
            let mut answer = answer.map_err(|error| not_answered(&error, operation, target))?;
            let body = answer.take_body();
            if !answer.status().is_success() {
                let body = answer::document(body).await;
                self.refused(&answer, &body, operation, target)?;
                return Ok(None);
            }
            let body = Limited::new(body, DOCUMENT_MAX).collect().await;
            let body = body.map_err(|error| broken_off(error.as_ref(), operation, target))?;
            Ok(Some(body.to_bytes()))
        });
        let within = self
            .requests
            .within(Wait::Answer, operation, target, exchange);
        within.await?
    }
}
