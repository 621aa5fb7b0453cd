//! From a store's answer, or the lack of one, to an [`EndpointError`].

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::date_time::{DateTime, Format};
use datasync_endpoint::{Effect, EndpointError, ErrorKind};
use hyper_util::client::legacy::Error as LegacyError;

use crate::calls::Operation;
use crate::clock::StoreClock;

/// No store may make us wait longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Texts of servers are cut to this many characters.
const TEXT_MAX: usize = 500;

/// What an answer means: the code decides where there is a known one, else the status.
/// ("Error responses", Amazon S3 API reference; codes of Ceph, MinIO and Garage.)
pub(crate) fn kind_of(status: u16, code: Option<&str>) -> ErrorKind {
    code.and_then(kind_of_code)
        .unwrap_or_else(|| kind_of_status(status))
}

fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "ServiceUnavailable"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "BandwidthLimitExceeded"
        | "Busy"
        // Another write of the same object was under way: the condition was not decided.
        | "ConditionalRequestConflict"
        | "OperationAborted" => ErrorKind::Busy,
        "InternalError" | "InternalFailure" | "InternalServerError" => ErrorKind::ServerFault,
        "RequestTimeout" | "IncompleteBody" => ErrorKind::Timeout,
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch" => ErrorKind::ChecksumRefused,
        "PreconditionFailed" => ErrorKind::Precondition,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => ErrorKind::PermissionDenied,
        "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException" => ErrorKind::Credentials,
        "NoSuchBucket" => ErrorKind::ContainerNotFound,
        "NoSuchKey" | "NoSuchUpload" | "NoSuchVersion" | "NotFound" => ErrorKind::NotFound,
        "EntityTooLarge" | "MaxMessageLengthExceeded" => ErrorKind::TooLarge,
        "KeyTooLongError"
        | "KeyTooLong"
        | "XMinioInvalidObjectName"
        | "XMinioObjectExistsAsDirectory"
        | "XMinioParentIsObject"
        | "InvalidURI" => ErrorKind::InvalidName,
        "QuotaExceeded"
        | "InsufficientStorage"
        | "XMinioStorageFull"
        | "XMinioAdminBucketQuotaExceeded" => ErrorKind::NoSpace,
        // An archived object (GLACIER, DEEP_ARCHIVE) must be restored before it is read or copied.
        "InvalidObjectState"
        | "ObjectNotInActiveTierError"
        // An object without tags, at some stores.
        | "NoSuchTagSet"
        | "NoSuchTagSetError"
        | "NotImplemented" | "MethodNotAllowed" | "UnsupportedOperation" => ErrorKind::NotSupported,
        "InvalidRequest"
        | "InvalidArgument"
        | "InvalidStorageClass"
        | "MalformedXML"
        | "InvalidPart"
        | "InvalidPartOrder"
        | "EntityTooSmall"
        | "InvalidBucketName"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IncorrectEndpoint"
        | "InvalidTag"
        | "MetadataTooLarge" => ErrorKind::Invalid,
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        // A success whose body is an error, of a code that nobody knows.
        200..=299 => ErrorKind::ServerFault,
        300..=399 | 400 | 411 => ErrorKind::Invalid,
        401 => ErrorKind::Credentials,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::NotSupported,
        408 | 504 => ErrorKind::Timeout,
        412 => ErrorKind::Precondition,
        413 => ErrorKind::TooLarge,
        409 | 429 | 503 => ErrorKind::Busy,
        507 => ErrorKind::NoSpace,
        500..=599 => ErrorKind::ServerFault,
        _ => ErrorKind::Protocol,
    }
}

/// Whether an answer leaves open if the request changed anything. A refusal is one; an inner
/// failure, or a gateway that speaks for a store which may have done the work, is not.
fn effect_of(status: u16, code: Option<&str>, mutates: bool) -> Effect {
    let open = match status {
        200..=299 => true,
        503 => code.is_none(),
        501 | 505 | 507 => false,
        500.. => true,
        _ => false,
    };
    if mutates && open {
        Effect::Unknown
    } else {
        Effect::None
    }
}

/// An answer that is an error, as it came over the wire.
#[derive(Debug, Default)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) retry_after: Option<&'a str>,
    pub(crate) date: Option<&'a str>,
}

impl Refusal<'_> {
    pub(crate) fn into_error(
        self,
        operation: Operation,
        target: &str,
        clock: &StoreClock,
    ) -> EndpointError {
        let mut kind = kind_of(self.status, self.code);
        if self.is_of_our_clock(clock) {
            kind = ErrorKind::Busy;
        }
        let mut detail = format!("the store answered {}", self.status);
        for part in [self.code, self.message].into_iter().flatten() {
            detail = format!("{detail} {}", cut(part));
        }
        if let Some(id) = self.request_id {
            detail = format!("{detail} (request {})", cut(id));
        }
        let mut error = EndpointError::new(kind, operation.name(), target, detail);
        error.effect = effect_of(self.status, self.code, operation.mutates());
        error.retry_after = self
            .retry_after
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        error
    }

    /// Whether the clock was to blame. It then is set by the store's, and another try is signed by
    /// it; so are those of other requests that were under way. The answer to a HEAD has no body
    /// that could say so.
    fn is_of_our_clock(&self, clock: &StoreClock) -> bool {
        let date = self
            .date
            .and_then(|date| DateTime::from_str(date, Format::HttpDate).ok())
            .and_then(|date| SystemTime::try_from(date).ok());
        let Some(store_now) = date else {
            return false;
        };
        let now = SystemTime::now();
        let blamed = match (self.code, self.status) {
            (Some("RequestTimeTooSkewed"), _) => true,
            (None, 403) => clock.is_suspect(store_now, now),
            _ => false,
        };
        if blamed {
            clock.learn(store_now, now);
        }
        blamed
    }
}

/// The text of an element of an error document.
pub(crate) fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}

/// At most [`TEXT_MAX`] characters, without control characters.
fn cut(text: &str) -> String {
    text.chars()
        .take(TEXT_MAX)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// The same for an error of the SDK.
pub(crate) fn from_sdk<E>(
    error: &SdkError<E, HttpResponse>,
    operation: Operation,
    target: &str,
    clock: &StoreClock,
) -> EndpointError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let headers = service.raw().headers();
            Refusal {
                status: service.raw().status().as_u16(),
                code: service.err().code(),
                message: service.err().message(),
                request_id: headers.get("x-amz-request-id"),
                retry_after: headers.get("retry-after"),
                date: headers.get("date"),
            }
            .into_error(operation, target, clock)
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let kind = if response.raw().status().is_success() {
                ErrorKind::Protocol
            } else {
                kind_of_status(status)
            };
            let detail = format!(
                "the store answered {status}, not as S3 does: {}",
                chain(error)
            );
            unknown_if(
                operation,
                EndpointError::new(kind, operation.name(), target, detail),
            )
        }
        other => not_answered(other, operation, target),
    }
}

fn unknown_if(operation: Operation, error: EndpointError) -> EndpointError {
    if operation.mutates() {
        error.with_unknown_effect()
    } else {
        error
    }
}

/// No answer came: no credentials, no connection, or one that broke.
pub(crate) fn not_answered(
    error: &(dyn Error + 'static),
    operation: Operation,
    target: &str,
) -> EndpointError {
    let name = operation.name();
    if let Some(source) = find::<CredentialsError>(error) {
        let detail = format!("no credentials to sign with: {}", chain(source));
        return EndpointError::new(ErrorKind::Credentials, name, target, detail);
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        let detail = format!("the TLS connection to the store failed: {tls}");
        return EndpointError::new(ErrorKind::Unreachable, name, target, detail);
    }
    let detail = format!("no answer from the store: {}", chain(error));
    if find::<LegacyError>(error).is_some_and(LegacyError::is_connect) {
        return EndpointError::new(ErrorKind::Unreachable, name, target, detail);
    }
    unknown_if(
        operation,
        EndpointError::new(ErrorKind::Unreachable, name, target, detail),
    )
}

/// The waiting was ended by us.
pub(crate) fn timed_out(operation: Operation, target: &str, waited: Duration) -> EndpointError {
    let detail = format!("nothing moved for {waited:?}");
    unknown_if(
        operation,
        EndpointError::new(ErrorKind::Timeout, operation.name(), target, detail),
    )
}

/// The first error of this type in the chain, also inside of an I/O error, which hides it.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = below(error);
    }
    None
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let hidden = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    match hidden {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// The texts of an error and of those underneath, without repeating any.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = cut(&error.to_string());
    let mut next = below(error);
    while let Some(error) = next {
        let more = cut(&error.to_string());
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = below(error);
    }
    text
}

#[cfg(test)]
mod tests;
