//! TLS on the connections to a server.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::ErrorKind;
use futures::future::BoxFuture;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connection::Broken;

/// What a connection runs over.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// By what one connection is made secret.
#[derive(Debug, Clone)]
pub struct TlsSession {
    /// Whom to trust, and this end's certificate if there is one.
    pub config: Arc<rustls::ClientConfig>,
    /// What the server's certificate must be for.
    pub server_name: ServerName<'static>,
}

/// Why a connection cannot be begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct NoTls {
    /// What kind.
    pub kind: ErrorKind,
    /// For people; never a secret.
    pub detail: String,
}

/// The TLS of a connection, once it is known.
pub type SessionFuture<'a> = BoxFuture<'a, Result<TlsSession, NoTls>>;

/// Decides about the TLS of a server's connections.
pub trait Tls: Debug + Send + Sync {
    /// Asked before each connection: what is signed for one may be worth nothing for the next.
    fn session(&self) -> SessionFuture<'_>;
}

/// A server that speaks no TLS may wait for ever for what it takes for the rest of a record.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Shakes hands within the shorter of `limit` and 10 s.
///
/// # Errors
/// `Unreachable` where the server cannot be trusted or speaks no TLS, `PermissionDenied` where it does
/// not take this end's certificate, `Timeout`.
pub(crate) async fn shake_hands(
    session: TlsSession,
    stream: TcpStream,
    limit: Duration,
) -> Result<Stream, Broken> {
    let limit = limit.min(HANDSHAKE_TIMEOUT);
    let connector = TlsConnector::from(session.config);
    let shaken = Box::pin(connector.connect(session.server_name, stream));
    match timeout(limit, shaken).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(not_shaken(&error)),
        Err(_) => Err(Broken::new(
            ErrorKind::Timeout,
            format!(
                "no TLS handshake within {} ms: what listens there may speak no TLS",
                limit.as_millis()
            ),
        )),
    }
}

fn not_shaken(error: &io::Error) -> Broken {
    if let Some(broken) = broken(error) {
        return broken;
    }
    let hint = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the server closed the connection in the TLS handshake: what listens there may speak no TLS"
                .to_owned()
        }
        _ => format!("the TLS handshake failed: {error}"),
    };
    Broken::new(ErrorKind::Unreachable, hint)
}

/// What an error of TLS means, if it is one.
pub(crate) fn broken(error: &io::Error) -> Option<Broken> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        // An authority that was made anew has the name of one that is trusted, and another key.
        Error::InvalidCertificate(
            reason @ (CertificateError::UnknownIssuer | CertificateError::BadSignature),
        ) => Broken::new(
            ErrorKind::Unreachable,
            format!(
                "TLS: the server's certificate is signed by no authority that is trusted here \
                 ({reason:?})"
            ),
        ),
        Error::InvalidMessage(_) => Broken::new(
            ErrorKind::Unreachable,
            format!("TLS: what listens there speaks no TLS ({error})"),
        ),
        Error::AlertReceived(alert) if is_about_us(*alert) => Broken::new(
            ErrorKind::PermissionDenied,
            format!("TLS: the server does not take this agent's certificate ({alert:?})"),
        ),
        error => Broken::new(ErrorKind::Unreachable, format!("TLS: {error}")),
    })
}

/// Alerts about this end's certificate (RFC 8446 §6.2). In version 1.3 they come after the handshake.
fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::CertificateRequired
            | A::UnknownCA
            | A::AccessDenied
    )
}

#[cfg(test)]
mod tests;
