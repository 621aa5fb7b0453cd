//! The two calls of CloudWatch Logs that sending needs, signed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use datasync_model::TaskExecutionArn;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::batch::LogEvent;
use super::group::{LogGroup, stream};
use crate::credentials::{CredentialService, Keys};
use crate::egress::Egress;

const ATTEMPT_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Why a call did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    #[error("{0}")]
    Credentials(String),
    #[error("{operation} could not be called: {reason}")]
    Unreachable {
        operation: &'static str,
        reason: String,
    },
    #[error("{operation} answers {code}: {message}")]
    Refused {
        operation: &'static str,
        code: String,
        message: String,
    },
}

impl CallError {
    fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    credentials: Arc<CredentialService>,
    egress: Egress,
    /// In place of AWS's.
    endpoint: Option<String>,
    /// In place of the default chain.
    role_arn: Option<String>,
    keys: tokio::sync::Mutex<Option<(String, Keys)>>,
}

impl Client {
    pub(crate) fn new(
        credentials: Arc<CredentialService>,
        egress: Egress,
        endpoint: Option<String>,
        role_arn: Option<String>,
    ) -> Self {
        Self {
            credentials,
            egress,
            endpoint,
            role_arn,
            keys: tokio::sync::Mutex::default(),
        }
    }

    /// Puts events into the stream of `execution`, which is made if it is missing. How many were not
    /// taken.
    pub(super) async fn put(
        &self,
        group_arn: &str,
        execution: &TaskExecutionArn,
        events: &[LogEvent],
    ) -> Result<usize, CallError> {
        let group = LogGroup::of(group_arn).ok_or_else(|| CallError::Unreachable {
            operation: "PutLogEvents",
            reason: format!("{group_arn} is no log group"),
        })?;
        let names = json!({"logGroupName": group.name, "logStreamName": stream(execution)});
        let mut request = names.clone();
        request["logEvents"] = events.iter().map(LogEvent::json).collect();
        let mut put = self.call(group_arn, &group, "PutLogEvents", &request).await;
        if put
            .as_ref()
            .is_err_and(|error| error.is("ResourceNotFoundException"))
        {
            let made = self
                .call(group_arn, &group, "CreateLogStream", &names)
                .await;
            match made {
                Err(error) if !error.is("ResourceAlreadyExistsException") => return Err(error),
                _ => put = self.call(group_arn, &group, "PutLogEvents", &request).await,
            }
        }
        Ok(rejected(&put?, events.len()))
    }

    async fn call(
        &self,
        group_arn: &str,
        group: &LogGroup,
        operation: &'static str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let unreachable = |reason: String| CallError::Unreachable { operation, reason };
        let keys = self.keys(group_arn).await?;
        let endpoint = self.endpoint.clone().unwrap_or_else(|| group.endpoint());
        let request = signed(&endpoint, &group.region, &keys, operation, body);
        let request = request.map_err(|reason| unreachable(reason.to_owned()))?;
        let connector = self.egress.connector(&endpoint).map_err(unreachable)?;
        let answering = async {
            let answer = connector.call(request).await;
            let mut answer = answer.map_err(|error| crate::egress::innermost(&error))?;
            let body = Limited::new(answer.take_body(), ANSWER_BYTES_MAX).collect();
            let body = body.await.map_err(|error| error.to_string())?.to_bytes();
            Ok::<_, String>((answer.status().as_u16(), body))
        };
        let answered = tokio::time::timeout(ATTEMPT_MAX, answering).await;
        let answered = answered.map_err(|_| unreachable("no answer in time".to_owned()))?;
        let (status, body) = answered.map_err(unreachable)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(body);
        }
        Err(refused(operation, status, &body))
    }

    /// Keys at hand, or new ones; one set is kept at a time.
    async fn keys(&self, group_arn: &str) -> Result<Keys, CallError> {
        let mut held = self.keys.lock().await;
        let now = Timestamp::now();
        if let Some((of, keys)) = held.as_ref()
            && of == group_arn
            && keys.life.refresh_at().is_some_and(|at| now < at)
        {
            return Ok(keys.clone());
        }
        let role = self.role_arn.as_deref();
        let keys = self.credentials.keys_for_logs(role, group_arn, now).await;
        let keys = keys.map_err(|error| CallError::Credentials(error.to_string()))?;
        *held = Some((group_arn.to_owned(), keys.clone()));
        Ok(keys)
    }
}

fn signed(
    endpoint: &str,
    region: &str,
    keys: &Keys,
    operation: &str,
    body: &Value,
) -> Result<HttpRequest, &'static str> {
    // Their words could repeat what they refuse.
    let unusable = "the request cannot be built";
    let url = format!("{}/", endpoint.trim_end_matches('/'));
    let body = body.to_string();
    let target = format!("Logs_20140328.{operation}");
    let headers = [
        ("content-type", CONTENT_TYPE),
        ("x-amz-target", target.as_str()),
    ];
    let identity = Credentials::new(
        keys.access_key_id.clone(),
        keys.secret_access_key.to_string(),
        keys.session_token.as_ref().map(|token| token.to_string()),
        None,
        "datasync-control",
    )
    .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("logs")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unusable)?
        .into();
    let content = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new("POST", &url, headers.into_iter(), content);
    let signed = sign(signable.map_err(|_| unusable)?, &params).map_err(|_| unusable)?;
    let (instructions, _) = signed.into_parts();
    let (added, _) = instructions.into_parts();
    let mut request = HttpRequest::new(body.into());
    request.set_method("POST").map_err(|_| unusable)?;
    request.set_uri(url).map_err(|_| unusable)?;
    let added = added.iter().map(|header| (header.name(), header.value()));
    for (name, value) in headers.into_iter().chain(added) {
        let put = request
            .headers_mut()
            .try_insert(name.to_owned(), value.to_owned());
        put.map_err(|_| unusable)?;
    }
    Ok(request)
}

fn refused(operation: &'static str, status: u16, body: &Value) -> CallError {
    let text = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| body.get(name)?.as_str());
        found.map(|text| text.chars().take(512).collect::<String>())
    };
    let code = text(["__type", "code"]).unwrap_or_else(|| status.to_string());
    CallError::Refused {
        operation,
        // It may stand behind a name space.
        code: code.rsplit('#').next().unwrap_or_default().to_owned(),
        message: text(["message", "Message"]).unwrap_or_else(|| "no message".to_owned()),
    }
}

/// How many of `events` the answer says were too old, too new or expired.
fn rejected(answer: &Value, events: usize) -> usize {
    let info = &answer["rejectedLogEventsInfo"];
    let index = |name: &str| {
        let index = info[name].as_u64();
        index.map(|index| usize::try_from(index).unwrap_or(events).min(events))
    };
    let old = [
        index("tooOldLogEventEndIndex"),
        index("expiredLogEventEndIndex"),
    ];
    let old = old.into_iter().flatten().max().unwrap_or(0);
    let new = index("tooNewLogEventStartIndex").map_or(0, |from| events - from);
    (old + new).min(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_with_and_without_their_name_space() {
        let body = json!({"__type": "com.amazonaws.logs#ThrottlingException", "message": "slow"});
        let error = refused("PutLogEvents", 400, &body);
        assert!(error.is("ThrottlingException"));
        assert_eq!(
            error.to_string(),
            "PutLogEvents answers ThrottlingException: slow"
        );
        assert!(refused("PutLogEvents", 503, &Value::Null).is("503"));
    }

    #[test]
    fn events_that_were_not_taken_are_counted() {
        let info = |info: Value| json!({ "rejectedLogEventsInfo": info });
        assert_eq!(rejected(&json!({}), 5), 0);
        assert_eq!(rejected(&info(json!({"tooOldLogEventEndIndex": 2})), 5), 2);
        let both = json!({"expiredLogEventEndIndex": 1, "tooNewLogEventStartIndex": 4});
        assert_eq!(rejected(&info(both), 5), 2);
        assert_eq!(
            rejected(&info(json!({"tooNewLogEventStartIndex": 99})), 5),
            0
        );
    }
}
