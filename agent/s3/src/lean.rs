//! Small puts without the SDK, whose orchestration costs more CPU than the request itself.
//!
//! Same connections, credentials, clock and headers; only replies that cannot be interpreted here
//! are left to the SDK.

mod signature;

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::time::TimeSource as _;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use datasync_endpoint::{EndpointError, ErrorKind, Payload};

use crate::body::{PacedBody, Progress};
use crate::calls::Operation;
use crate::clock::StoreClock;
use crate::config::S3Config;
use crate::date::of_header;
use crate::destination::Store;
use crate::error::{Refusal, chain, element, not_answered};
use crate::headers::Headers;
use crate::object::{crc64_of, metadata_headers};
use crate::place::in_path;
use crate::put::{Reply, Write};
use crate::requests::Wait;
use signature::{HeaderList, Signer, Target};

/// Bodies below this go without the SDK, in bytes.
pub(crate) const BODY_MAX: u64 = 1 << 20;
/// The longest error document that is read, in bytes.
const ERROR_MAX: usize = 64 * 1024;

/// Ends of the names of directory buckets and of access points for Outposts, which have hosts of
/// their own.
const SPECIAL: [&str; 2] = ["--x-s3", "--op-s3"];

#[derive(Debug)]
pub(crate) struct Lean {
    connector: SharedHttpConnector,
    credentials: SharedCredentialsProvider,
    signer: Signer,
    /// URL of the bucket, with a slash at its end.
    base: String,
    /// Where in it the path begins.
    path_at: usize,
    /// The header of this name.
    host: String,
    /// Of all requests, and of those that make an object.
    added: [Headers; 2],
}

impl Lean {
    /// `None` where the bucket's address takes the SDK's endpoint rules.
    pub(crate) fn new(
        config: &S3Config,
        region: &str,
        connector: SharedHttpConnector,
    ) -> Option<Self> {
        let location = &config.location;
        let bucket = &location.bucket;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let base = match &location.endpoint {
            Some(endpoint) if endpoint.contains(['?', '#']) => return None,
            Some(endpoint) => format!("{}/{bucket}/", endpoint.trim_end_matches('/')),
            None if ["cn-", "us-iso", "eu-isoe", "eusc-"]
                .iter()
                .any(|p| region.starts_with(p))
                || SPECIAL.iter().any(|kind| bucket.ends_with(kind))
                || !bucket.bytes().all(plain) =>
            {
                return None;
            }
            None => format!("https://{bucket}.s3.{region}.amazonaws.com/"),
        };
        let (host, path_at) = host_of(&base)?;
        Some(Self {
            connector,
            credentials: config.credentials.clone(),
            signer: Signer::new(region),
            base,
            path_at,
            host,
            added: [Headers::of_all(config), Headers::of_writes(config)],
        })
    }

    fn signed(
        &self,
        write: &Write<'_>,
        credentials: &Credentials,
        clock: &StoreClock,
        body: SdkBody,
        length: u64,
    ) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
        let uri = format!("{}{}", self.base, in_path(write.object_key));
        let mut headers = headers(write, length);
        let added = self.added.iter().flat_map(Headers::iter);
        headers.extend(added.map(|(name, value)| (name, value.to_owned())));
        let target = Target {
            method: "PUT",
            host: &self.host,
            path: &uri[self.path_at..],
        };
        self.signer
            .sign(target, &mut headers, credentials, clock.now())?;
        let mut request = HttpRequest::new(body);
        request.set_method(target.method)?;
        request.set_uri(uri)?;
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value)?;
        }
        Ok(request)
    }
}

/// The host as clients name it, without the scheme's own port, and where the path begins.
fn host_of(base: &str) -> Option<(String, usize)> {
    let uri: http::Uri = base.parse().ok()?;
    let (authority, scheme) = (uri.authority()?, uri.scheme_str()?);
    let path_at = base.len().checked_sub(uri.path().len())?;
    let host = match (authority.port_u16(), scheme) {
        (None, _) | (Some(80), "http") | (Some(443), "https") => authority.host().to_owned(),
        (Some(port), _) => format!("{}:{port}", authority.host()),
    };
    Some((host, path_at))
}

fn headers(write: &Write<'_>, length: u64) -> HeaderList {
    let mut headers = metadata_headers(write.metadata);
    headers.push(("content-length", length.to_string()));
    headers.push(("content-type", "application/octet-stream".to_owned()));
    let check = write.check.header();
    headers.extend(check.map(|(name, value)| (name, value.to_owned())));
    let class = write.storage_class.clone();
    headers.extend(class.map(|class| ("x-amz-storage-class", class)));
    if write.if_absent {
        headers.push(("if-none-match", "*".to_owned()));
    }
    headers
}

/// At most [`ERROR_MAX`] bytes of an answer's body.
async fn document(body: SdkBody) -> String {
    let mut stream = ByteStream::new(body);
    let mut bytes = Vec::new();
    while bytes.len() < ERROR_MAX {
        match stream.next().await {
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
            // The status alone tells enough.
            Some(Err(_)) | None => break,
        }
    }
    bytes.truncate(ERROR_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
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
        let exchange = async {
            let credentials = lean.credentials.provide_credentials().await;
            let credentials =
                credentials.map_err(|error| not_answered(&error, operation, &target))?;
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
                .map_err(|error| {
                    let detail = format!("the request cannot be made: {}", chain(error.as_ref()));
                    EndpointError::new(ErrorKind::Invalid, operation.name(), target.clone(), detail)
                })?;
            let answer = lean.connector.call(request).await;
            let answer = answer.map_err(|error| not_answered(&error, operation, &target))?;
            self.interpreted(answer, &target).await
        };
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
        let status = answer.status().as_u16();
        let body = document(answer.take_body()).await;
        let header = |name: &str| answer.headers().get(name);
        if answer.status().is_success() {
            let kind = header("x-amz-checksum-type").map(Into::into);
            let crc64 = crc64_of(header("x-amz-checksum-crc64nvme"), kind.as_ref());
            let etag = header("etag").map(str::to_owned);
            let version = header("x-amz-version-id").map(str::to_owned);
            let date = header("date").and_then(of_header);
            let reply = self.reply(operation, target, etag, version, crc64)?;
            return Ok(Some(Reply { date, ..reply }));
        }
        let code = element(&body, "Code");
        if code.is_none() && !matches!(status, 403 | 409 | 412 | 429 | 500..) {
            return Ok(None);
        }
        let refusal = Refusal {
            status,
            code,
            message: element(&body, "Message"),
            request_id: header("x-amz-request-id"),
            retry_after: header("retry-after"),
            date: header("date"),
        };
        Err(refusal.into_error(operation, target, &self.requests.clock))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
    use datasync_model::{S3Location, StorageClass};

    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl HttpConnector for Nowhere {
        fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(std::future::pending())
        }
    }

    fn base(bucket: &str, region: &str) -> Option<String> {
        let arn = "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0";
        let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
        let config = S3Config {
            location: S3Location {
                arn: arn.parse().unwrap(),
                bucket: bucket.to_owned(),
                prefix: String::new(),
                region: None,
                endpoint: None,
                server_certificate: None,
                storage_class: StorageClass::Standard,
            },
            credentials: SharedCredentialsProvider::new(credentials),
            object_max: None,
            request_timeout: Duration::from_secs(1),
            requests_max: 1,
            proxy: None,
            ca_bundle: None,
            encryption: None,
            bucket_owner_full_control: false,
            requester_pays: false,
        };
        let connector = SharedHttpConnector::new(Nowhere);
        Lean::new(&config, region, connector).map(|lean| lean.base)
    }

    #[test]
    fn the_host_is_named_as_clients_do() {
        let cases = [
            ("http://nas.example/b/", "nas.example", "/b/"),
            ("http://nas.example:80/b/", "nas.example", "/b/"),
            ("http://nas.example:443/b/", "nas.example:443", "/b/"),
            ("https://nas.example:443/b/", "nas.example", "/b/"),
            ("https://[::1]:9000/x/b/", "[::1]:9000", "/x/b/"),
        ];
        for (base, host, path) in cases {
            let (found, path_at) = host_of(base).unwrap();
            assert_eq!((found.as_str(), &base[path_at..]), (host, path), "{base}");
        }
    }

    #[test]
    fn buckets_with_hosts_of_their_own_are_left_to_the_sdk() {
        let expected = "https://my-bucket.s3.eu-north-1.amazonaws.com/";
        assert_eq!(base("my-bucket", "eu-north-1").as_deref(), Some(expected));
        for (bucket, region) in [
            ("my.bucket", "eu-north-1"),
            ("my-bucket", "cn-north-1"),
            ("quick--use1-az4--x-s3", "us-east-1"),
            ("outpost-alias--op-s3", "us-east-1"),
        ] {
            assert_eq!(base(bucket, region), None, "{bucket} {region}");
        }
    }
}
