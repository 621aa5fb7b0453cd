//! Errors as AWS's JSON services answer them.

use serde_json::{Value, json};

use crate::auth::AuthError;
use crate::store::{SealError, StoreError};

/// How much of a client's value an answer repeats.
const SHOWN_CHARACTERS_MAX: usize = 200;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    kind: &'static str,
    message: String,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            code: None,
        }
    }

    /// Whether the request is at fault, or the state of what it names; control itself is not.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status < 500
    }

    /// The request cannot be carried out; the one error that every operation declares.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: Some("InvalidParameter"),
            ..Self::new(400, "InvalidRequestException", message)
        }
    }

    /// A feature of DataSync that this release does not have.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self {
            code: Some("UnsupportedOperation"),
            ..Self::new(400, "InvalidRequestException", message)
        }
    }

    /// A member breaks a constraint of the API's model; `constraint` begins with "must".
    ///
    /// The model declares no error of its own for this: DataSync answers the one that every
    /// operation declares.
    pub(crate) fn constraint(member: &str, value: &str, constraint: &str) -> Self {
        let shown: String = value.chars().take(SHOWN_CHARACTERS_MAX).collect();
        Self::invalid(format!(
            "Invalid parameter: {member} {shown:?} {constraint}"
        ))
    }

    /// A required member is absent.
    pub(crate) fn missing(member: &str) -> Self {
        Self::invalid(format!(
            "Invalid parameter: {member} is required and must not be null."
        ))
    }

    /// A manifest without its `Source`: the one refusal that AWS words as a validation error
    /// (API reference, `ManifestConfig`).
    pub(crate) fn manifest_without_source() -> Self {
        Self::new(
            400,
            "ValidationException",
            "ManifestConfig.Source is required: it names the manifest's bucket and the IAM role \
             that may read it. An empty ManifestConfig removes the manifest.",
        )
    }

    /// The key may not do this; in IAM's words.
    pub(crate) fn access_denied(user: &str, operation: &str) -> Self {
        Self::new(
            400,
            "AccessDeniedException",
            format!(
                "User: {user} is not authorized to perform: datasync:{operation} because no \
                 identity-based policy allows the datasync:{operation} action"
            ),
        )
    }

    /// The body is not the JSON that the operation takes.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    pub(crate) fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new(400, "UnknownOperationException", message)
    }

    pub(crate) fn not_routed(message: impl Into<String>) -> Self {
        Self::new(404, "UnknownOperationException", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLargeException",
            format!("The request body is larger than {limit} bytes."),
        )
    }

    pub(crate) fn too_slow() -> Self {
        Self::new(
            408,
            "RequestTimeoutException",
            "The request body did not arrive in time.",
        )
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(
            503,
            "ServiceUnavailable",
            "There are too many connections: the request was not looked at. Send it again.",
        )
    }

    pub(crate) fn internal() -> Self {
        Self {
            code: Some("InternalError"),
            ..Self::new(
                500,
                "InternalException",
                "Control could not carry out the request; its log says why.",
            )
        }
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({"__type": self.kind, "message": self.message});
        if let (Some(code), Some(members)) = (self.code, body.as_object_mut()) {
            members.insert("errorCode".to_owned(), code.into());
            if self.kind == "InvalidRequestException" {
                members.insert("datasyncErrorCode".to_owned(), code.into());
            }
        }
        body
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::internal()
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        tracing::error!(%error, "a secret is unusable");
        Self::internal()
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::new(error.status(), error.code(), error.to_string())
    }
}
