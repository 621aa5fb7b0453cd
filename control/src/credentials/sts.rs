//! AssumeRole with the credentials of the AWS default chain (environment, profile, web identity,
//! instance role).

use std::fmt;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_sts::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::policy::{Purpose, session_policy};
use super::{CredentialsError, Keys, Life};
use crate::egress::Egress;

/// One hour: the longest that every role allows unless its owner says otherwise.
const SESSION: Duration = Duration::from_secs(60 * 60);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Everything that decides which credentials AssumeRole gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleRequest {
    pub(crate) role_arn: String,
    pub(crate) external_id: Option<String>,
    pub(crate) sts_endpoint: Option<String>,
    pub(crate) partition: &'static str,
    pub(crate) bucket: String,
    /// Of a manifest its whole key.
    pub(crate) prefix: String,
    pub(crate) purpose: Purpose,
    /// Names the session in AWS's own logs.
    pub(crate) location_id: String,
}

/// STS, with the default chain loaded at its first use.
pub(crate) struct Sts {
    region: String,
    egress: Egress,
    base: OnceCell<SdkConfig>,
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sts")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Sts {
    pub(crate) fn new(region: String, egress: Egress) -> Self {
        Self {
            region,
            egress,
            base: OnceCell::new(),
        }
    }

    async fn base(&self) -> Result<&SdkConfig, String> {
        let http = self.egress.client(None, None)?;
        let load = || async { loader(&self.region, http).load().await };
        Ok(self.base.get_or_init(load).await)
    }

    /// With a key of its own in place of the default chain's.
    #[cfg(test)]
    pub(super) async fn with_key(region: String, key: aws_credential_types::Credentials) -> Self {
        let egress = Egress::default();
        let http = egress
            .client(None, None)
            .unwrap_or_else(|error| panic!("{error}"));
        let base = loader(&region, http).credentials_provider(key).load().await;
        Self {
            region,
            egress,
            base: OnceCell::new_with(Some(base)),
        }
    }

    /// Keys of the default chain itself; the SDK keeps them fresh.
    ///
    /// # Errors
    /// [`CredentialsError`]: it has none.
    pub(super) async fn own(&self) -> Result<Keys, CredentialsError> {
        let none = |reason: String| {
            CredentialsError::Refused(format!(
                "the AWS default chain has no credentials: {reason}"
            ))
        };
        let base = self.base().await.map_err(none)?;
        let provider = base.credentials_provider();
        let provider = provider.ok_or_else(|| none("no provider".to_owned()))?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| none(DisplayErrorContext(&error).to_string()))?;
        let mut keys = Keys::unlimited(
            found.access_key_id().to_owned(),
            Zeroizing::new(found.secret_access_key().to_owned()),
        );
        let token = found.session_token();
        keys.session_token = token.map(|token| Zeroizing::new(token.to_owned()));
        Ok(keys)
    }

    /// # Errors
    /// [`CredentialsError`] with AWS DataSync's text for a role that cannot be assumed.
    pub(super) async fn assume(
        &self,
        request: &RoleRequest,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        let base = self.base().await;
        let base = base.map_err(|reason| cannot_assume(&request.role_arn, &reason))?;
        let mut config = aws_sdk_sts::config::Builder::from(base);
        if let Some(endpoint) = &request.sts_endpoint {
            let http = self.egress.client(Some(endpoint), None);
            let http = http.map_err(|reason| cannot_assume(&request.role_arn, &reason))?;
            config.set_http_client(Some(http));
        }
        config.set_endpoint_url(request.sts_endpoint.clone());
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let seconds = i32::try_from(SESSION.as_secs()).unwrap_or(i32::MAX);
        let answer = client
            .assume_role()
            .role_arn(&request.role_arn)
            .role_session_name(format!("datasync-{}", request.location_id))
            .set_external_id(request.external_id.clone())
            .policy(session_policy(
                request.purpose,
                request.partition,
                &request.bucket,
                &request.prefix,
            ))
            .duration_seconds(seconds)
            .send()
            .await
            .map_err(|error| cannot_assume(&request.role_arn, &reason(&error)))?;
        let credentials = answer
            .credentials
            .ok_or_else(|| cannot_assume(&request.role_arn, "STS answered without credentials"))?;
        let expires = Timestamp::from_second(credentials.expiration.secs())
            .map_err(|_| cannot_assume(&request.role_arn, "STS answered with an absurd expiry"))?;
        Ok(Keys {
            access_key_id: credentials.access_key_id,
            secret_access_key: Zeroizing::new(credentials.secret_access_key),
            session_token: Some(Zeroizing::new(credentials.session_token)),
            life: Life::Limited {
                issued: now,
                expires,
            },
        })
    }
}

fn loader(region: &str, http: SharedHttpClient) -> aws_config::ConfigLoader {
    let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT);
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(http)
        .timeout_config(timeouts.build())
}

fn reason<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => match answer.err().code() {
            Some("AccessDenied") => "Access denied when calling sts:AssumeRole".to_owned(),
            code => format!(
                "{} when calling sts:AssumeRole: {}",
                code.unwrap_or("an unnamed error"),
                answer.err().message().unwrap_or("no message")
            ),
        },
        other => format!(
            "sts:AssumeRole could not be called: {}",
            DisplayErrorContext(other)
        ),
    }
}

/// AWS's own text, which Terraform matches on (`Unable to assume role`).
pub(crate) fn cannot_assume(role_arn: &str, reason: &str) -> CredentialsError {
    let name = role_arn.rsplit('/').next().unwrap_or(role_arn);
    CredentialsError::Refused(format!(
        "Unable to assume role. Reason: {reason}; roleName={name}, roleArn={role_arn}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_awss_form() {
        let error = cannot_assume(
            "arn:aws:iam::123456789012:role/path/sync",
            "Access denied when calling sts:AssumeRole",
        );
        assert_eq!(
            error.to_string(),
            "Unable to assume role. Reason: Access denied when calling sts:AssumeRole; \
             roleName=sync, roleArn=arn:aws:iam::123456789012:role/path/sync"
        );
    }
}
