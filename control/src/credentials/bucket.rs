//! The access test at CreateLocationS3: one ListObjectsV2 of at most one key.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::RequestPayer;
use datasync_model::S3Location;

use super::Keys;
use crate::egress::Egress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// What the test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BucketTest {
    /// The bucket can be listed. The region is the one that answered.
    Accessible { region: String },
    /// The store refuses; the text is for the client.
    Refused(String),
    /// Control cannot reach the store: an agent tries at task creation.
    Unreachable(String),
}

/// Lists `location` with `keys`, in its region or else in `region`.
pub(crate) async fn test_bucket(
    location: &S3Location,
    keys: &Keys,
    region: &str,
    egress: &Egress,
) -> BucketTest {
    let region = location.region.as_deref().unwrap_or(region);
    match list(location, keys, region, egress).await {
        // AWS names the bucket's own region when asked in another one.
        Listed::Elsewhere(home) => match list(location, keys, &home, egress).await {
            Listed::Known(result) => result,
            Listed::Elsewhere(_) => refused(
                &location.bucket,
                &format!("the store redirects from region {region} to {home} and on"),
            ),
        },
        Listed::Known(result) => result,
    }
}

enum Listed {
    Known(BucketTest),
    Elsewhere(String),
}

fn refused(bucket: &str, reason: &str) -> BucketTest {
    BucketTest::Refused(format!(
        "DataSync location access test failed: could not perform s3:ListObjectsV2 on bucket. \
         Ensure bucket access role has s3:ListBucket permission. The answer for bucket \
         {bucket:?}: {reason}"
    ))
}

/// What a refusal means and what to do, beginning as AWS's text does: clients match on it.
fn explained(bucket: &str, code: &str, place: &str, reason: &str) -> BucketTest {
    let cause = match code {
        "NoSuchBucket" => format!(
            "bucket {bucket:?} does not exist at {place}. Create it, or name an existing bucket \
             in S3BucketArn."
        ),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => format!(
            "{place} does not accept the role's access key for bucket {bucket:?}. Set it anew \
             with datasync-control role set-key."
        ),
        _ => return refused(bucket, reason),
    };
    BucketTest::Refused(format!(
        "DataSync location access test failed: could not perform s3:ListObjectsV2 on bucket: \
         {cause} The store's answer: {reason}"
    ))
}

fn client(
    location: &S3Location,
    keys: &Keys,
    region: &str,
    egress: &Egress,
) -> Result<aws_sdk_s3::Client, String> {
    let http = egress.client(
        location.endpoint.as_deref(),
        location.server_certificate.as_deref(),
    )?;
    let credentials = aws_credential_types::Credentials::new(
        keys.access_key_id.clone(),
        keys.secret_access_key.as_str(),
        keys.session_token
            .as_ref()
            .map(|token| token.as_str().to_owned()),
        None,
        "datasync-control",
    );
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_timeout(CALL_TIMEOUT)
                .build(),
        );
    if let Some(endpoint) = &location.endpoint {
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    Ok(aws_sdk_s3::Client::from_conf(config.build()))
}

async fn list(location: &S3Location, keys: &Keys, region: &str, egress: &Egress) -> Listed {
    let client = match client(location, keys, region, egress) {
        Ok(client) => client,
        Err(reason) => return Listed::Known(refused(&location.bucket, &reason)),
    };
    let answer = client
        .list_objects_v2()
        .bucket(&location.bucket)
        .prefix(&location.prefix)
        .max_keys(1)
        // Without it a bucket with Requester Pays of another account refuses all but its owner.
        .request_payer(RequestPayer::Requester)
        .send()
        .await;
    match answer {
        Ok(_) => Listed::Known(BucketTest::Accessible {
            region: region.to_owned(),
        }),
        Err(error) => failed(&error, location, region),
    }
}

fn failed<E>(
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
    location: &S3Location,
    region: &str,
) -> Listed
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let endpoint = location.endpoint.as_deref();
    let place = endpoint.unwrap_or("Amazon S3");
    let SdkError::ServiceError(answer) = error else {
        let reason = format!("{place}: {}", aws_sdk_s3::error::DisplayErrorContext(error));
        return Listed::Known(BucketTest::Unreachable(reason));
    };
    let home = answer.raw().headers().get("x-amz-bucket-region");
    if let Some(home) = home.filter(|home| endpoint.is_none() && *home != region) {
        return Listed::Elsewhere(home.to_owned());
    }
    let status = answer.raw().status().as_u16();
    let (code, message) = (
        answer.err().code().unwrap_or("no error code"),
        answer.err().message().unwrap_or("no message"),
    );
    let reason = format!("{code}: {message} (HTTP {status} from {place})");
    Listed::Known(if status >= 500 {
        BucketTest::Unreachable(reason)
    } else {
        explained(&location.bucket, code, place, &reason)
    })
}

#[cfg(test)]
mod tests;
