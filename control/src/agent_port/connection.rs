//! One accepted connection, with what TLS says of the peer.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::Place;
use super::members::MemberPlace;

/// How long a peer without a certificate may stay: the life of an activation key, and some.
const STRANGER_LIFETIME: Duration = Duration::from_secs(35 * 60);

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Verified against our CA and in its time when the connection was made.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

/// What a connection holds while it lasts.
#[derive(Debug)]
pub(super) enum Held {
    Stranger { _place: Place },
    Member { _place: MemberPlace },
}

/// A TLS stream that remembers its peer and ends strangers after a time.
pub(crate) struct AgentConnection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    deadline: Option<Pin<Box<Sleep>>>,
    _held: Held,
}

impl AgentConnection {
    pub(super) fn new(stream: TlsStream<TcpStream>, peer: Peer, held: Held) -> Self {
        let stranger = peer.certificate.is_none();
        Self {
            stream,
            peer,
            deadline: stranger.then(|| Box::pin(tokio::time::sleep(STRANGER_LIFETIME))),
            _held: held,
        }
    }
}

impl Connected for AgentConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for AgentConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for AgentConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
