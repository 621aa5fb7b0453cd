//! The unmodified AWS SDK as the client of our API, and a plain GET for activation.

use std::net::SocketAddr;

use aws_credential_types::Credentials;
use aws_sdk_datasync::Client;
use aws_sdk_datasync::config::{BehaviorVersion, Region};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;

use crate::error::Fault;

/// An access key of control's API.
#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessKey({})", self.id)
    }
}

/// A client of the API at `url`.
pub(crate) fn datasync(url: &str, region: &str, key: &AccessKey) -> Client {
    let credentials = Credentials::new(&key.id, &key.secret, None, None, "quickstart");
    let config = aws_sdk_datasync::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(region.to_owned()))
        .endpoint_url(url)
        .credentials_provider(credentials)
        .build();
    Client::from_conf(config)
}

/// Creates a bucket in the store at `url`.
pub(crate) async fn create_bucket(
    url: &str,
    region: &str,
    key: &AccessKey,
    bucket: &str,
) -> Result<(), Fault> {
    let credentials = Credentials::new(&key.id, &key.secret, None, None, "quickstart");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(aws_sdk_s3::config::Region::new(region.to_owned()))
        .endpoint_url(url)
        .force_path_style(true)
        .credentials_provider(credentials)
        .build();
    let created = aws_sdk_s3::Client::from_conf(config)
        .create_bucket()
        .bucket(bucket)
        .send()
        .await;
    created
        .map(drop)
        .map_err(|error| Fault::new("CreateBucket", error.into_service_error()))
}

const KEY_BYTES_MAX: usize = 4096;

/// Asks an agent for its activation key.
pub(crate) async fn activation_key(agent: SocketAddr, region: &str) -> Result<String, Fault> {
    let url = format!("http://{agent}/?gatewayType=SYNC&activationRegion={region}&no_redirect");
    let uri = url
        .parse()
        .map_err(|error| Fault::new("the activation URL", error))?;
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let reply = client
        .get(uri)
        .await
        .map_err(|error| Fault::new("the agent does not answer on its activation port", error))?;
    let status = reply.status();
    let body = Limited::new(reply.into_body(), KEY_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| Fault::new("the agent's activation answer", error))?
        .to_bytes();
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    if status.is_success() {
        Ok(text)
    } else {
        Err(Fault::plain(format!("the agent gives no key: {text}")))
    }
}
