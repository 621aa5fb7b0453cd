//! Documents that tell of the bucket.

use std::pin::pin;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use bytes::Bytes;
use datasync_endpoint::{EndpointError, ErrorKind};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::signature::HeaderList;
use super::{Lean, Read, answer, not_made, page};
use crate::bounded::DOCUMENT_MAX;
use crate::calls::Operation;
use crate::destination::Store;
use crate::error::not_answered;
use crate::listing::{Listing, RawPage, Start};
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

/// Names in their order, as signatures want them.
fn query_of(wanted: Listing<'_>) -> String {
    let mut query = String::new();
    if let Start::Token(token) = wanted.start {
        query.push_str(&format!("continuation-token={}&", in_query(token)));
    }
    if wanted.by_directory {
        query.push_str("delimiter=%2F&");
    }
    let max_keys = wanted.max_keys;
    query.push_str(&format!(
        "encoding-type=url&list-type=2&max-keys={max_keys}"
    ));
    if !wanted.prefix.is_empty() {
        query.push_str(&format!("&prefix={}", in_query(wanted.prefix)));
    }
    if let Start::After(key) = wanted.start {
        query.push_str(&format!("&start-after={}", in_query(key)));
    }
    query
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
    /// A page of a listing; `Ok(None)`: the answer is one for the SDK.
    pub(crate) async fn lean_page(
        &self,
        lean: &Lean,
        wanted: Listing<'_>,
    ) -> Result<Option<RawPage>, EndpointError> {
        let ask = Ask {
            operation: Operation::ListObjectsV2,
            target: &self.place.target(wanted.prefix),
            query: &query_of(wanted),
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
            let read = Read {
                method: "GET",
                object_key: "",
                query,
                headers: HeaderList::new(),
            };
            let request = lean
                .signed_read(read, &credentials, &self.requests.clock)
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
