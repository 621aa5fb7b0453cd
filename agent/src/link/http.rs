//! One request on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// For the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const BODY_MAX: usize = 16 * 1024;

/// Sends a request without a body; answers head and body.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn exchange<S>(
    stream: S,
    method: &str,
    host: &str,
    target: &str,
) -> Result<(Parts, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", host)
        .header(
            "user-agent",
            concat!("datasync-agent/", env!("CARGO_PKG_VERSION")),
        )
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let asked = async move {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|e| e.to_string())?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await;
        let body = body.map_err(|e| e.to_string())?.to_bytes();
        Ok((head, body))
    };
    // The connection ends after the answer; what it says of its own end tells nothing more.
    let both = async { tokio::join!(asked, connection).0 };
    match tokio::time::timeout(TIMEOUT, both).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}
