//! Small objects.

use std::pin::pin;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use datasync_endpoint::{EndpointError, ObjectHeader, ObjectProperties, Payload};

use super::signature::HeaderList;
use super::{Lean, answer, not_made};
use crate::body::{PacedBody, Progress};
use crate::calls::Operation;
use crate::date::of_header;
use crate::destination::Store;
use crate::error::not_answered;
use crate::object::{USER_METADATA, metadata_headers};
use crate::properties::{tags_of, user_metadata};
use crate::put::{Reply, Write};
use crate::requests::Wait;
use crate::sums::Told;

const CONTENT_TYPE: &str = "content-type";

pub(super) fn headers(write: &Write<'_>, length: u64) -> HeaderList {
    let mut headers = match &write.header.properties {
        Some(properties) => property_headers(write.header, properties),
        None => {
            let own = metadata_headers(write.header).into_iter();
            own.map(|(name, value)| (name.into(), value)).collect()
        }
    };
    if !headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
        headers.push((CONTENT_TYPE.into(), "application/octet-stream".to_owned()));
    }
    headers.push(("content-length".into(), length.to_string()));
    let check = write.check.header();
    headers.extend(check.map(|(name, value)| (name.into(), value)));
    let class = write.storage_class.clone();
    headers.extend(class.map(|class| ("x-amz-storage-class".into(), class)));
    if write.if_absent {
        headers.push(("if-none-match".into(), "*".to_owned()));
    }
    headers
}

/// What a copy of another object carries.
fn property_headers(header: &ObjectHeader, properties: &ObjectProperties) -> HeaderList {
    let pairs = user_metadata(header).into_iter();
    let mut headers: HeaderList = pairs
        .map(|(name, value)| (format!("{USER_METADATA}{name}").into(), value))
        .collect();
    let system = [
        (CONTENT_TYPE, &properties.content_type),
        ("content-encoding", &properties.content_encoding),
        ("content-disposition", &properties.content_disposition),
        ("content-language", &properties.content_language),
        ("cache-control", &properties.cache_control),
        ("expires", &properties.expires),
        (
            "x-amz-website-redirect-location",
            &properties.website_redirect,
        ),
        ("x-amz-tagging", &tags_of(properties)),
    ];
    for (name, value) in system {
        headers.extend(value.clone().map(|value| (name.into(), value)));
    }
    headers
}

impl Store {
    /// `Ok(None)`: the answer is one for the SDK.
    pub(crate) async fn lean_put(
        &self,
        lean: &Lean,
        write: &Write<'_>,
        payload: &Payload,
    ) -> Result<Option<Reply>, EndpointError> {
        let operation = Operation::PutObject;
        let target = self.place.target(write.object_key);
        let progress = Progress::new();
        let _turn = self.requests.turn(operation, &target).await?;
        // In place: `within` and `select!` would hold it twice.
        let exchange = pin!(async {
            let credentials = lean.credentials(operation, &target).await?;
            let body = PacedBody::new(payload, Arc::clone(&progress));
            let body = SdkBody::from_body_1_x(body);
            let request = lean
                .signed(
                    write,
                    &credentials,
                    &self.requests.clock,
                    body,
                    payload.length,
                )
                .map_err(|error| not_made(&error, operation, &target))?;
            let answer = lean.connector.call(request).await;
            let answer = answer.map_err(|error| not_answered(&error, operation, &target))?;
            self.interpreted(answer, &target).await
        });
        let wait = Wait::Body(Arc::clone(&progress));
        self.requests
            .within(wait, operation, &target, exchange)
            .await?
    }

    async fn interpreted(
        &self,
        mut answer: HttpResponse,
        target: &str,
    ) -> Result<Option<Reply>, EndpointError> {
        let operation = Operation::PutObject;
        let body = answer::document(answer.take_body()).await;
        let header = |name: &str| answer.headers().get(name);
        if answer.status().is_success() {
            let kind = header("x-amz-checksum-type").map(Into::into);
            let told = Told::new(|proof| header(proof.header()), kind.as_ref());
            let etag = header("etag").map(str::to_owned);
            let version = header("x-amz-version-id").map(str::to_owned);
            let date = header("date").and_then(of_header);
            let reply = self.reply(operation, target, etag, version, told)?;
            return Ok(Some(Reply { date, ..reply }));
        }
        self.refused(&answer, &body, operation, target)?;
        Ok(None)
    }
}
