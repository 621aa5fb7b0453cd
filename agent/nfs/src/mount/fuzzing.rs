//! What the fuzz target `mount_reply` of `tests/fuzz` calls.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::portmap::{self, Service};
use super::wire::{MountReply, MountSession, WholeReplies};
use crate::status::HANDLE_MAX;

/// Record mark and xid, in calls and replies alike.
const XID: std::ops::Range<usize> = 4..8;

/// A server that answers the first call with prepared bytes, as that call's answer, and closes.
struct Canned {
    stream: Vec<u8>,
    at: usize,
    is_asked: bool,
}

impl AsyncRead for Canned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(self.is_asked, "an answer is read before the call is sent");
        let rest = self.stream.get(self.at..).unwrap_or_default();
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Canned {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        call: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.is_asked
            && let (Some(place), Some(xid)) = (self.stream.get_mut(XID), call.get(XID))
        {
            place.copy_from_slice(xid);
        }
        self.is_asked = true;
        Poll::Ready(Ok(call.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a server says to MNT, GETPORT or GETADDR, by the first byte: a handle that can be one, a port
/// that is one, or an error. The xid is put right, as nothing else gets past it.
///
/// # Panics
/// If that does not hold.
pub fn mount_reply(data: &[u8]) {
    let Some((asked, stream)) = data.split_first() else {
        return;
    };
    let canned = Canned {
        stream: stream.to_vec(),
        at: 0,
        is_asked: false,
    };
    let stream = WholeReplies::over(canned, Duration::from_secs(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        match asked % 3 {
            0 => {
                let mut session = MountSession::over(stream, Default::default());
                if let Ok(MountReply::Granted { handle, flavors }) = session.mnt("/export").await {
                    assert!((1..=HANDLE_MAX).contains(&handle.len()));
                    assert!(flavors.len() * 4 < data.len());
                }
            }
            1 => {
                if let Ok(port) = portmap::getport_over(stream, Service::Mount).await {
                    assert_ne!(port, 0);
                }
            }
            _ => {
                if let Ok(port) = portmap::getaddr_over(stream, Service::Nfs).await {
                    assert_ne!(port, 0);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        crate::script::seeds("mount_reply", super::mount_reply);
    }
}
