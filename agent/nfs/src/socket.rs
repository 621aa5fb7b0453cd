//! TCP connections as NFS servers like them: from a privileged port, without Nagle, kept alive.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::config::PrivilegedPorts;

/// The upper half of the privileged ports; well-known services live in the lower.
const PORTS: std::ops::Range<u16> = 512..1024;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A number that another process or another start would not choose as well.
pub(crate) fn arbitrary() -> u64 {
    RandomState::new().hash_one(0)
}

/// Connects within the shorter of `limit` and 10 s.
pub(crate) async fn connect(
    address: SocketAddr,
    privileged: PrivilegedPorts,
    limit: Duration,
) -> io::Result<TcpStream> {
    let limit = limit.min(CONNECT_TIMEOUT);
    let stream = timeout(limit, connect_from(address, privileged))
        .await
        .map_err(|_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {} ms", limit.as_millis()),
            )
        })??;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

async fn connect_from(address: SocketAddr, privileged: PrivilegedPorts) -> io::Result<TcpStream> {
    if privileged != PrivilegedPorts::Never {
        match connect_privileged(address).await {
            Ok(Some(stream)) => return Ok(stream),
            Ok(None) if privileged == PrivilegedPorts::Require => {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "no source port below 1024 can be used; run with CAP_NET_BIND_SERVICE",
                ));
            }
            Ok(None) => {}
            Err(error) => return Err(error),
        }
    }
    socket_for(address)?.connect(address).await
}

/// `None` where this process may not use privileged ports or none is free.
async fn connect_privileged(address: SocketAddr) -> io::Result<Option<TcpStream>> {
    let count = PORTS.end - PORTS.start;
    let first = u16::try_from(arbitrary() % u64::from(count)).unwrap_or_default();
    for step in 0..count {
        let port = PORTS.start + (first + step) % count;
        let socket = socket_for(address)?;
        socket.set_reuseaddr(true)?;
        match socket.bind(SocketAddr::new(any_address(address), port)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(error),
        }
        match socket.connect(address).await {
            Ok(stream) => return Ok(Some(stream)),
            // The same pair of ports is still in TIME_WAIT or in use.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn socket_for(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
}

fn any_address(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn source_port(listen: &str, privileged: PrivilegedPorts) -> io::Result<u16> {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let stream = connect(address, privileged, Duration::from_secs(5)).await?;
        assert!(stream.nodelay()?);
        assert!(SockRef::from(&stream).keepalive()?);
        Ok(stream.local_addr()?.port())
    }

    #[tokio::test]
    async fn both_families_and_both_kinds_of_ports() {
        let allowed = TcpSocket::new_v4()
            .unwrap()
            .bind(SocketAddr::from(([127, 0, 0, 1], 1023)))
            .map_or_else(
                |error| error.kind() != io::ErrorKind::PermissionDenied,
                |()| true,
            );
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let never = source_port(listen, PrivilegedPorts::Never).await.unwrap();
            assert!(never >= 1024);
            let preferred = source_port(listen, PrivilegedPorts::Prefer).await.unwrap();
            assert_eq!(preferred < 1024, allowed);
            let required = source_port(listen, PrivilegedPorts::Require).await;
            assert_eq!(required.is_ok_and(|port| port < 1024), allowed);
        }
    }
}
