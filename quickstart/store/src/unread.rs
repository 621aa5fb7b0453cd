//! What is left of a request's body when the answer is an error.
//!
//! Closing a socket with unread bytes resets it, and the client loses the answer that says why. So
//! the rest is read before the answer goes out; or, where the client still waits for
//! `100 Continue` and may never send it, the connection is announced to end.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONNECTION, EXPECT};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use s3s::HttpResponse;

/// Bytes of a refused body that are read for the sake of the answer.
const DRAIN_MAX: u64 = 64 * 1024 * 1024;

const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// A request body that can be read on after the operation has dropped it.
#[derive(Clone)]
pub(crate) struct SharedBody(Arc<Mutex<Incoming>>);

impl SharedBody {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    /// Reads the rest; false if that is too much, takes too long or fails.
    async fn drain(mut self) -> bool {
        let mut left = DRAIN_MAX;
        let reading = async {
            while !self.is_end_stream() {
                match std::future::poll_fn(|cx| pin!(&mut self).poll_frame(cx)).await {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => {
                        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
                        let Some(rest) = left.checked_sub(size) else {
                            return false;
                        };
                        left = rest;
                    }
                }
            }
            true
        };
        tokio::time::timeout(DRAIN_TIME_MAX, reading)
            .await
            .unwrap_or(false)
    }

    fn with<T>(&self, look: impl FnOnce(Pin<&mut Incoming>) -> T) -> T {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(Pin::new(&mut body))
    }
}

impl Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

/// Makes an answer safe to send while the body may not have been read to its end.
pub(crate) async fn settle(body: SharedBody, expects: bool, answer: &mut HttpResponse) {
    let refused = answer.status().is_client_error() || answer.status().is_server_error();
    if !refused || body.is_end_stream() {
        return;
    }
    let read = !expects && body.drain().await;
    if !read {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Whether the client waits for `100 Continue` before it sends the body.
pub(crate) fn expects_continue(headers: &http::HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
