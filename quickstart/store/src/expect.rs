//! `100 Continue` for empty bodies.
//!
//! hyper sends it when a body is first read, so never for a body of length 0. botocore asks for it
//! all the same and takes the next answer for the one it waits for, one request out of step.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::unread::expects_continue;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Says that the next answer of a connection must be preceded by `100 Continue`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owed(Arc<AtomicBool>);

impl Owed {
    /// Looks at a request before it is answered.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        let expects = expects_continue(headers);
        let empty = headers.get(CONTENT_LENGTH) == Some(&HeaderValue::from_static("0"));
        if expects && empty {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// A connection that pays what is owed before it writes anything else.
pub(crate) struct Expecting<S> {
    stream: S,
    owed: Owed,
    unsent: &'static [u8],
}

impl<S> Expecting<S> {
    pub(crate) fn new(stream: S, owed: Owed) -> Self {
        Self {
            stream,
            owed,
            unsent: &[],
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Expecting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Expecting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.owed.0.swap(false, Ordering::AcqRel) {
            self.unsent = CONTINUE;
        }
        while !self.unsent.is_empty() {
            let unsent = self.unsent;
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent = &unsent[sent..];
        }
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
