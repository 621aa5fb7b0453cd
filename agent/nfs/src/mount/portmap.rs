//! Where a service listens (RFC 1833).

use std::io;
use std::net::SocketAddr;

use datasync_endpoint::ErrorKind;
use nfs3_client::rpc::RpcClient;
use nfs3_client::{PortmapError, PortmapperClient};
use nfs3_types::mount::{PROGRAM, VERSION};
use nfs3_types::nfs3;
use nfs3_types::portmap::{IPPROTO_TCP, PROGRAM as PORTMAP};
use nfs3_types::xdr_codec::{Opaque, Pack, Result as XdrResult, Unpack};

use super::wire::{MountFault, Stream, WholeReplies, bounded};
use crate::config::NfsConfig;
use crate::status::printable;

/// The longest universal address: an IPv6 address, a zone, two numbers.
const UNIVERSAL_MAX: usize = 128;
/// RFC 1833 §2.2.
const RPCBIND_VERSION: u32 = 3;
const RPCBIND_GETADDR: u32 = 3;

/// A service whose port the portmapper knows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    Nfs,
    Mount,
}

impl Service {
    /// Program and version.
    fn program(self) -> (u32, u32) {
        match self {
            Self::Nfs => (nfs3::PROGRAM, nfs3::VERSION),
            Self::Mount => (PROGRAM, VERSION),
        }
    }

    fn unregistered(self) -> MountFault {
        let (program, version) = self.program();
        MountFault::Failed(
            ErrorKind::Unreachable,
            format!("program {program} version {version} is not registered for TCP"),
        )
    }
}

/// Asks the portmapper (RFC 1833, version 2) for a TCP port. It knows IPv4 alone.
pub(super) async fn getport(
    portmapper: SocketAddr,
    config: &NfsConfig,
    service: Service,
) -> Result<u16, MountFault> {
    getport_over(WholeReplies::open(portmapper, config).await?, service).await
}

pub(super) async fn getport_over<S: Stream>(
    stream: WholeReplies<S>,
    service: Service,
) -> Result<u16, MountFault> {
    let (program, version) = service.program();
    let mut portmapper = PortmapperClient::new(stream);
    portmapper
        .getport(program, version, IPPROTO_TCP)
        .await
        .map_err(|error| match error {
            PortmapError::Rpc(error) => MountFault::from_rpc(&error),
            PortmapError::ProgramUnavailable => service.unregistered(),
            PortmapError::InvalidPortValue(port) => {
                MountFault::Failed(ErrorKind::Protocol, format!("{port} is no port"))
            }
        })
}

/// The same over IPv6 (RFC 1833, version 3), where the answer is a universal address.
pub(super) async fn getaddr(
    rpcbind: SocketAddr,
    config: &NfsConfig,
    service: Service,
) -> Result<u16, MountFault> {
    getaddr_over(WholeReplies::open(rpcbind, config).await?, service).await
}

pub(super) async fn getaddr_over<S: Stream>(
    stream: WholeReplies<S>,
    service: Service,
) -> Result<u16, MountFault> {
    let UniversalAddress(found) = RpcClient::new(stream)
        .call(PORTMAP, RPCBIND_VERSION, RPCBIND_GETADDR, &Wanted(service))
        .await
        .map_err(|error| MountFault::from_rpc(&error))?;
    if found.is_empty() {
        return Err(service.unregistered());
    }
    port_in(&found).ok_or_else(|| {
        let detail = format!("\"{}\" is no address", printable(&found));
        MountFault::Failed(ErrorKind::Protocol, detail)
    })
}

/// The port of a universal address: its last two numbers (RFC 5665 §5.2.3.4).
fn port_in(address: &[u8]) -> Option<u16> {
    let mut parts = std::str::from_utf8(address).ok()?.rsplit('.');
    let (low, high) = (parts.next()?, parts.next()?);
    let port = u16::from_be_bytes([high.parse().ok()?, low.parse().ok()?]);
    (port != 0).then_some(port)
}

/// The argument of GETADDR: `rpcb` of RFC 1833 §2.1.
struct Wanted(Service);

impl Wanted {
    fn strings() -> [Opaque<'static>; 3] {
        [b"tcp6".as_slice(), b"", b""].map(Opaque::borrowed)
    }
}

impl Pack for Wanted {
    fn packed_size(&self) -> usize {
        let strings = Self::strings();
        8 + strings.iter().map(Pack::packed_size).sum::<usize>()
    }

    fn pack(&self, out: &mut impl io::Write) -> XdrResult<usize> {
        let (program, version) = self.0.program();
        let mut packed = program.pack(out)? + version.pack(out)?;
        for string in Self::strings() {
            packed += string.pack(out)?;
        }
        Ok(packed)
    }
}

/// The result of GETADDR, its length bounded.
struct UniversalAddress(Vec<u8>);

impl Unpack for UniversalAddress {
    fn unpack(input: &mut impl io::Read) -> XdrResult<(Self, usize)> {
        let (bytes, taken) = bounded(input, UNIVERSAL_MAX)?;
        Ok((Self(bytes), taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Server, Xdr, config, reply};

    #[test]
    fn ports_end_universal_addresses() {
        for (address, port) in [
            ("::.8.1", Some(2049)),
            ("fe80::1%eth0.0.111", Some(111)),
            ("::.0.0", None),
            ("::.256.1", None),
            ("::", None),
            ("1", None),
        ] {
            assert_eq!(port_in(address.as_bytes()), port, "{address}");
        }
        assert_eq!(port_in(b"\xff.8.1"), None);
    }

    async fn answered(result: Xdr) -> Result<u16, MountFault> {
        let server = Server::start(move |mut request| {
            assert_eq!((request.program, request.procedure), (PORTMAP, 3));
            assert_eq!(request.arguments.u32("program"), Ok(PROGRAM));
            assert_eq!(request.arguments.u32("version"), Ok(3));
            for expected in ["tcp6", "", ""] {
                let text = request.arguments.opaque(8, "a string").unwrap();
                assert_eq!(text, expected);
            }
            reply(request.xid, &result)
        })
        .await;
        getaddr(server.address, &config("unused", "/"), Service::Mount).await
    }

    #[tokio::test]
    async fn rpcbind_is_asked_for_an_address() {
        let port = answered(Xdr::default().opaque(b"::.78.80")).await;
        assert_eq!(port.unwrap(), 20_048);
        for (result, kind) in [
            (Xdr::default().opaque(b""), ErrorKind::Unreachable),
            (Xdr::default().opaque(b"nonsense"), ErrorKind::Protocol),
            (Xdr::default().opaque(&[b'1'; 129]), ErrorKind::Protocol),
            (Xdr::default().words(&[u32::MAX]), ErrorKind::Protocol),
        ] {
            match answered(result).await {
                Err(MountFault::Failed(failed, _)) => assert_eq!(failed, kind),
                other => panic!("{other:?}"),
            }
        }
    }
}
