//! MOUNT calls by `nfs3_client`, over a stream that it cannot be harmed through:
//! replies are received whole, bounded and checked before it sees them, and an end of the stream
//! is an error (it would spin on zero bytes).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use datasync_endpoint::{EndpointError, ErrorKind};
use nfs3_client::RpcError;
use nfs3_client::io::{AsyncRead, AsyncWrite};
use nfs3_client::rpc::RpcClient;
use nfs3_types::mount::{MOUNT_PROGRAM, PROGRAM, VERSION, dirpath, mountstat3};
use nfs3_types::rpc::opaque_auth;
use nfs3_types::xdr_codec::{Error, Opaque, Result as XdrResult, Unpack};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::NfsConfig;
use crate::connection::Broken;
use crate::pool::Pool;
use crate::record::{LAST_FRAGMENT, read_record};
use crate::rpc;
use crate::socket::connect;
use crate::status::HANDLE_MAX;

/// The longest reply of MOUNT and portmapper that we take.
const REPLY_MAX: usize = 8 << 10;
/// The most security flavors of one export.
const FLAVORS_MAX: u32 = 64;

/// Why a mount did not happen.
#[derive(Debug)]
pub(super) enum MountFault {
    /// The server decided: asking elsewhere is no use.
    Refused(Box<EndpointError>),
    /// Nobody decided: another port may answer.
    Failed(ErrorKind, String),
}

impl MountFault {
    pub(super) fn refused(error: EndpointError) -> Self {
        Self::Refused(Box::new(error))
    }

    fn from_io(error: &io::Error) -> Self {
        let broken = Broken::from_io(error);
        Self::Failed(broken.kind, broken.detail.to_string())
    }

    pub(super) fn from_rpc(error: &RpcError) -> Self {
        let kind = match error {
            RpcError::Io(error) => return Self::from_io(error),
            RpcError::Auth(_) => ErrorKind::PermissionDenied,
            RpcError::SystemErr => ErrorKind::ServerFault,
            RpcError::ProgUnavail | RpcError::ProgMismatch { .. } | RpcError::ProcUnavail => {
                ErrorKind::NotSupported
            }
            _ => ErrorKind::Protocol,
        };
        Self::Failed(kind, error.to_string())
    }
}

/// Variable-length opaque data of at most `max` bytes, and how many it took.
pub(super) fn bounded(input: &mut impl io::Read, max: usize) -> XdrResult<(Vec<u8>, usize)> {
    let (length, size) = u32::unpack(input)?;
    let length = length as usize;
    if length > max {
        return Err(Error::InvalidLength(length));
    }
    let mut bytes = vec![0; length.next_multiple_of(4)];
    input.read_exact(&mut bytes)?;
    let taken = size + bytes.len();
    bytes.truncate(length);
    Ok((bytes, taken))
}

/// A connection to a MOUNT service.
pub(super) struct MountSession<S = TcpStream>(RpcClient<WholeReplies<S>>);

impl MountSession {
    pub(super) async fn open(address: SocketAddr, config: &NfsConfig) -> Result<Self, MountFault> {
        let stream = WholeReplies::open(address, config).await?;
        Ok(Self::over(stream, rpc::credential(config)))
    }
}

impl<S: Stream> MountSession<S> {
    pub(super) fn over(stream: WholeReplies<S>, credential: opaque_auth<'static>) -> Self {
        let verifier = opaque_auth::default();
        Self(RpcClient::new_with_auth(stream, credential, verifier))
    }

    pub(super) async fn mnt(&mut self, path: &str) -> Result<MountReply, MountFault> {
        let path = dirpath(Opaque::borrowed(path.as_bytes()));
        let procedure = MOUNT_PROGRAM::MOUNTPROC3_MNT as u32;
        self.0
            .call(PROGRAM, VERSION, procedure, &path)
            .await
            .map_err(|error| MountFault::from_rpc(&error))
    }
}

/// The results of MNT, their lengths bounded (the codec's own type trusts them).
#[derive(Debug)]
pub(super) enum MountReply {
    Granted { handle: Bytes, flavors: Vec<u32> },
    Refused(mountstat3),
}

impl Unpack for MountReply {
    fn unpack(input: &mut impl io::Read) -> XdrResult<(Self, usize)> {
        let (status, mut taken) = mountstat3::unpack(input)?;
        if !matches!(status, mountstat3::MNT3_OK) {
            return Ok((Self::Refused(status), taken));
        }
        let (handle, size) = bounded(input, HANDLE_MAX)?;
        taken += size;
        if handle.is_empty() {
            return Err(Error::InvalidLength(0));
        }
        let (count, size) = u32::unpack(input)?;
        taken += size;
        if count > FLAVORS_MAX {
            return Err(Error::InvalidLength(count as usize));
        }
        let mut flavors = Vec::new();
        for _ in 0..count {
            let (flavor, size) = u32::unpack(input)?;
            taken += size;
            flavors.push(flavor);
        }
        let handle = handle.into();
        Ok((Self::Granted { handle, flavors }, taken))
    }
}

/// What bytes come and go through.
pub(super) trait Stream:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send
{
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Stream for S {}

/// A stream that yields replies only when they are whole and sound.
pub(super) struct WholeReplies<S = TcpStream> {
    stream: S,
    limit: Duration,
    pool: Arc<Pool>,
    ready: Bytes,
}

impl WholeReplies {
    pub(super) async fn open(address: SocketAddr, config: &NfsConfig) -> Result<Self, MountFault> {
        let stream = connect(address, config.privileged_ports, config.call_timeout)
            .await
            .map_err(|error| MountFault::from_io(&error))?;
        Ok(Self::over(stream, config.call_timeout))
    }
}

impl<S: Stream> WholeReplies<S> {
    /// Each reply, and each call, within `limit`.
    pub(super) fn over(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            pool: Arc::default(),
            ready: Bytes::new(),
        }
    }

    async fn receive(&mut self) -> io::Result<Bytes> {
        let receiving = read_record(&mut self.stream, REPLY_MAX, &self.pool);
        let record = timeout(self.limit, receiving)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
        // Refusals are for the client to tell; only what is malformed must not reach it.
        if let Err(rpc::Refusal::Malformed(error)) = rpc::accepted(record.clone()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        let mut whole = BytesMut::with_capacity(4 + record.len());
        whole.extend_from_slice(&(length | LAST_FRAGMENT).to_be_bytes());
        whole.extend_from_slice(&record);
        Ok(whole.freeze())
    }
}

impl<S: Stream> AsyncRead for WholeReplies<S> {
    async fn async_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() {
            self.ready = self.receive().await?;
        }
        let length = buffer.len().min(self.ready.len());
        self.ready.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl<S: Stream> AsyncWrite for WholeReplies<S> {
    async fn async_write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        timeout(self.limit, self.stream.write_all(buffer))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the call could not be sent"))??;
        Ok(buffer.len())
    }
}
