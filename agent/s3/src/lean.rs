//! Small puts and listings without the SDK, whose orchestration costs more CPU than the request itself.
//!
//! Same connections, credentials, clock and headers; only replies that cannot be interpreted here
//! are left to the SDK.

mod answer;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod get;
mod object;
mod page;
mod put;
mod signature;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::time::TimeSource as _;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use datasync_endpoint::{EndpointError, ErrorKind};

use crate::calls::Operation;
use crate::clock::StoreClock;
use crate::config::S3Config;
use crate::error::{chain, not_answered};
use crate::headers::Headers;
use crate::place::in_path;
use crate::put::Write;
pub(crate) use object::Ask;
use signature::{EMPTY, HeaderList, Signer, Target, UNSIGNED};

/// Bodies below this go without the SDK, in bytes.
pub(crate) const BODY_MAX: u64 = 1 << 20;
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

    async fn credentials(
        &self,
        operation: Operation,
        target: &str,
    ) -> Result<Credentials, EndpointError> {
        let provided = self.credentials.provide_credentials().await;
        provided.map_err(|error| not_answered(&error, operation, target))
    }

    fn signed(
        &self,
        write: &Write<'_>,
        credentials: &Credentials,
        clock: &StoreClock,
        body: SdkBody,
        length: u64,
    ) -> Result<HttpRequest, MakingError> {
        let uri = format!("{}{}", self.base, in_path(write.object_key));
        let mut headers = put::headers(write, length);
        let added = self.added.iter().flat_map(Headers::iter);
        headers.extend(added.map(|(name, value)| (name.into(), value.to_owned())));
        let target = Target {
            method: "PUT",
            host: &self.host,
            path: &uri[self.path_at..],
            query: "",
            payload: UNSIGNED,
        };
        self.signer
            .sign(target, &mut headers, credentials, clock.now())?;
        request("PUT", uri, headers, body)
    }

    /// A request that reads the bucket, whose object key is empty, or an object.
    fn signed_read(
        &self,
        read: Read<'_>,
        credentials: &Credentials,
        clock: &StoreClock,
    ) -> Result<HttpRequest, MakingError> {
        let Read {
            method,
            object_key,
            query,
            mut headers,
        } = read;
        let mut uri = format!("{}{}", self.base, in_path(object_key));
        headers.extend(
            self.added[0]
                .iter()
                .map(|(name, value)| (name.into(), value.to_owned())),
        );
        let target = Target {
            method,
            host: &self.host,
            path: &uri[self.path_at..],
            query,
            payload: EMPTY,
        };
        self.signer
            .sign(target, &mut headers, credentials, clock.now())?;
        if !query.is_empty() {
            uri = format!("{uri}?{query}");
        }
        request(method, uri, headers, SdkBody::empty())
    }
}

/// What is read.
struct Read<'a> {
    method: &'static str,
    object_key: &'a str,
    /// Percent-encoded, in the order of the names.
    query: &'a str,
    headers: HeaderList,
}

/// Why a request cannot be made.
type MakingError = Box<dyn std::error::Error + Send + Sync>;

fn request(
    method: &str,
    uri: String,
    headers: HeaderList,
    body: SdkBody,
) -> Result<HttpRequest, MakingError> {
    let mut request = HttpRequest::new(body);
    request.set_method(method)?;
    request.set_uri(uri)?;
    for (name, value) in headers {
        request.headers_mut().try_insert(name, value)?;
    }
    Ok(request)
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

fn not_made(error: &MakingError, operation: Operation, target: &str) -> EndpointError {
    let detail = format!("the request cannot be made: {}", chain(error.as_ref()));
    EndpointError::new(ErrorKind::Invalid, operation.name(), target, detail)
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
            checksum: None,
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
