//! Opening a location: region, access, abilities.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use datasync_endpoint::{EndpointError, ErrorKind, ListPage};
use http::Uri;

use crate::calls::Operation;
use crate::client;
use crate::config::S3Config;
use crate::destination::{S3Destination, Store, Traits};
use crate::error::{element, from_sdk};
use crate::headers::Headers;
use crate::lean::Lean;
use crate::place::Place;
use crate::requests::{Requests, Wait};

/// Where buckets of unknown region are asked for; also what stores without regions take.
const FIRST_REGION: &str = "us-east-1";
const REGION_HEADER: &str = "x-amz-bucket-region";
/// Wrong region, wrong clock, and once more.
const ATTEMPTS: usize = 3;

impl S3Destination {
    /// Finds the bucket's region, tests the access by a listing, and probes with a small object
    /// below `.aws-datasync/` what the store's answers are worth; that object is deleted again.
    /// If this future is dropped in the middle it may stay; an open that is ten minutes later or
    /// more deletes it.
    ///
    /// # Errors
    /// Whatever keeps the location from being used, in words: no such bucket, access denied to the
    /// listing or the probe's writing, wrong credentials, unreachable, TLS not trusted, a listing
    /// out of order, no user metadata.
    pub async fn open(config: S3Config) -> Result<Self, EndpointError> {
        let (mut store, first) = connected(&config).await?;
        store.traits = store.probe(&first).await?;
        tracing::info!(bucket = store.place.bucket, traits = ?store.traits, event = "store.probed", "store probed");
        Ok(Self::of(store, &config))
    }

    /// The same without the probe: nothing is written, and the store's answers to writes count as
    /// worth nothing. For looking only.
    ///
    /// # Errors
    /// As [`S3Destination::open`], but for what only writing shows.
    pub async fn open_to_look(config: S3Config) -> Result<Self, EndpointError> {
        Ok(Self::of(connected(&config).await?.0, &config))
    }

    fn of(store: Store, config: &S3Config) -> Self {
        let abilities = store
            .place
            .abilities(store.traits.integrity, config.object_max);
        Self { store, abilities }
    }
}

/// A store that was reached and not probed, with the first page of its listing.
pub(crate) async fn connected(config: &S3Config) -> Result<(Store, ListPage), EndpointError> {
    if let Some(endpoint) = &config.location.endpoint {
        check_endpoint(endpoint)?;
    }
    let connector = client::connector(config)?;
    let requests = Arc::new(Requests::new(config.requests_max, config.request_timeout));
    let place = Place::new(&config.location);
    let mut region = region_of(config, &place, &connector, &requests).await?;
    let mut attempt = 1;
    loop {
        let store = Store {
            client: client::sdk(config, &region, connector.clone(), &requests.clock),
            lean: Lean::new(config, &region, connector.clone()),
            place: place.clone(),
            requests: Arc::clone(&requests),
            traits: Traits::UNKNOWN,
            required: config.checksum,
            write_headers: Headers::of_writes(config),
            single_deletes: AtomicBool::new(false),
            no_copies: AtomicBool::new(false),
        };
        match store.first_page().await {
            Ok(first) => return Ok((store, first)),
            Err((_, Some(hint))) if attempt < ATTEMPTS && hint != region => {
                tracing::info!(
                    bucket = place.bucket,
                    from = region,
                    to = hint,
                    "bucket's region"
                );
                region = hint;
            }
            Err((error, _)) if attempt < ATTEMPTS && error.kind == ErrorKind::Busy => {
                tracing::info!(%error, "the store is asked again");
            }
            Err((error, hint)) => return Err(explained(error, &region, hint.as_deref(), &place)),
        }
        attempt += 1;
    }
}

pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), EndpointError> {
    let uri: Option<Uri> = endpoint.parse().ok();
    let usable = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if usable {
        return Ok(());
    }
    let detail = "the endpoint must be http://host[:port] or https://host[:port]";
    Err(EndpointError::new(
        ErrorKind::Invalid,
        "open",
        endpoint,
        detail,
    ))
}

/// The region that requests are signed for: the location's, or else the bucket's own.
pub(crate) async fn region_of(
    config: &S3Config,
    place: &Place,
    connector: &SharedHttpConnector,
    requests: &Requests,
) -> Result<String, EndpointError> {
    match &config.location.region {
        Some(region) => Ok(region.clone()),
        None if config.location.endpoint.is_some() => Ok(FIRST_REGION.to_owned()),
        None => {
            let client = client::sdk(config, FIRST_REGION, connector.clone(), &requests.clock);
            home_region(&client, place, requests).await
        }
    }
}

/// HeadBucket names the region, also when it refuses.
async fn home_region(
    client: &Client,
    place: &Place,
    requests: &Requests,
) -> Result<String, EndpointError> {
    let operation = Operation::HeadBucket;
    let target = place.target("");
    let _turn = requests.turn(operation, &target).await?;
    let request = Box::pin(client.head_bucket().bucket(&place.bucket).send());
    let answer = requests
        .within(Wait::Answer, operation, &target, request)
        .await?;
    match answer {
        Ok(output) => Ok(output
            .bucket_region
            .filter(|region| is_region(region))
            .unwrap_or_else(|| FIRST_REGION.to_owned())),
        Err(error) => match region_hint(&error) {
            Some(region) => Ok(region),
            None => {
                let error = from_sdk(&error, operation, &target, &requests.clock);
                Err(explained(error, FIRST_REGION, None, place))
            }
        },
    }
}

impl Store {
    /// The access test. With an error comes the region that the store would rather have.
    async fn first_page(&self) -> Result<ListPage, (EndpointError, Option<String>)> {
        let operation = Operation::ListObjectsV2;
        let target = self.place.target(&self.place.prefix);
        let no_hint = |error| (error, None);
        let requests = &self.requests;
        let _turn = requests.turn(operation, &target).await.map_err(no_hint)?;
        let request = Box::pin(self.listing(None).send());
        let output = requests
            .within(Wait::Answer, operation, &target, request)
            .await
            .map_err(no_hint)?
            .map_err(|error| {
                let hint = region_hint(&error);
                (from_sdk(&error, operation, &target, &requests.clock), hint)
            })?;
        self.listed_page(output.into(), None).map_err(no_hint)
    }
}

/// The region in an answer's header, or in the body of `AuthorizationHeaderMalformed` and
/// `PermanentRedirect`.
fn region_hint<E: Error>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let response = error.raw_response()?;
    let in_body = || {
        let body = std::str::from_utf8(response.body().bytes()?).ok()?;
        element(body, "Region")
    };
    let named = response.headers().get(REGION_HEADER).or_else(in_body)?;
    is_region(named).then(|| named.to_owned())
}

/// A region becomes a part of host names: nothing else may be in it.
fn is_region(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..64).contains(&text.len()) && text.bytes().all(plain)
}

/// The same error, with what it means for a location.
fn explained(
    mut error: EndpointError,
    region: &str,
    hint: Option<&str>,
    place: &Place,
) -> EndpointError {
    let bucket = &place.bucket;
    let meaning = match (error.kind, hint) {
        (ErrorKind::Invalid, Some(hint)) if hint != region => {
            format!("bucket {bucket} is in region {hint}, not {region}")
        }
        (ErrorKind::ContainerNotFound | ErrorKind::NotFound, _) => {
            format!("there is no bucket {bucket}")
        }
        (ErrorKind::PermissionDenied, _) => {
            format!("listing bucket {bucket} is not allowed (s3:ListBucket)")
        }
        (ErrorKind::Credentials, _) => "the credentials were not accepted".to_owned(),
        (ErrorKind::Unreachable | ErrorKind::Timeout, _) => {
            "the store cannot be reached".to_owned()
        }
        _ => return error,
    };
    error.detail = format!("{meaning}: {}", error.detail);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_label_of_a_host_name() {
        assert!(is_region("eu-north-1"));
        for text in ["", "evil.example/?", "eu west", &"x".repeat(64)] {
            assert!(!is_region(text), "{text}");
        }
    }
}
