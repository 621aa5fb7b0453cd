//! Errors at the seams: what kind, did it take effect, doing what, to what.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Kind decides retry and report; message text never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The item does not exist (NFS3ERR_NOENT, NoSuchKey).
    NotFound,
    /// The container does not exist (export, bucket).
    ContainerNotFound,
    /// The server refuses access.
    PermissionDenied,
    /// Credentials are missing, wrong or expired.
    Credentials,
    /// The handle means nothing any more (NFS3ERR_STALE, NFS3ERR_BADHANDLE): look the path up again.
    Stale,
    /// A directory changed under the cursor (NFS3ERR_BAD_COOKIE): read it again from its start.
    BadCookie,
    /// The server asks to wait or is at odds with a request at the same time (NFS3ERR_JUKEBOX,
    /// 503 SlowDown, 409 ConditionalRequestConflict).
    Busy,
    /// No answer in time.
    Timeout,
    /// No connection, or the connection broke.
    Unreachable,
    /// The server failed inside (NFS3ERR_IO, NFS3ERR_SERVERFAULT, 500).
    ServerFault,
    /// The answer breaks the protocol or a bound of ours.
    Protocol,
    /// The store found another checksum than the one we sent.
    ChecksumRefused,
    /// A conditional request did not apply (412).
    Precondition,
    /// The name or key cannot exist there.
    InvalidName,
    /// Larger than the server accepts.
    TooLarge,
    /// The server is out of space or quota.
    NoSpace,
    /// The server cannot do this at all.
    NotSupported,
    /// The request is wrong in a way that no retry cures.
    Invalid,
}

impl ErrorKind {
    /// Whether the same request may succeed later without anything else being done.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Timeout
                | Self::Unreachable
                | Self::ServerFault
                | Self::ChecksumRefused
        )
    }
}

/// Whether a failed request may have changed something at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changed nothing: the server said so, or the request never left.
    None,
    /// Nobody knows: ask before acting.
    Unknown,
}

/// A failed call at a seam. `Display` does not repeat the source error; log the chain once.
#[derive(Debug)]
pub struct EndpointError {
    /// What kind.
    pub kind: ErrorKind,
    /// Whether it may have taken effect.
    pub effect: Effect,
    /// The operation, in the protocol's own word: `READ`, `PutObject`.
    pub operation: &'static str,
    /// What it was about: a path, a key, a host. Printable, never a secret.
    pub target: String,
    /// What the server or the network said.
    pub detail: String,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// How long the call waited on our side for its turn before it was made.
    pub held: Duration,
    /// The error underneath.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl EndpointError {
    /// An error without effect, hint or source.
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        target: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            effect: Effect::None,
            operation,
            target: target.into(),
            detail: detail.into(),
            retry_after: None,
            held: Duration::ZERO,
            source: None,
        }
    }

    /// The same error, with its effect unknown.
    #[must_use]
    pub fn with_unknown_effect(self) -> Self {
        Self {
            effect: Effect::Unknown,
            ..self
        }
    }

    /// The same error, of a call that waited for its turn for so much longer.
    #[must_use]
    pub fn held_for(self, time: Duration) -> Self {
        Self {
            held: self.held.saturating_add(time),
            ..self
        }
    }

    /// The same error, with its source.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.target, self.detail)
    }
}

impl Error for EndpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
