//! What can be reached from outside: sockets of this network namespace that wait for others, from
//! `/proc/net`. The firewall may keep out what is shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::appliance;

/// Tables of the kernel, with the state in which a socket waits: TCP_LISTEN, and for UDP that of one
/// without a peer.
const TABLES: [(&str, &str, &str); 4] = [
    ("tcp", "proc/net/tcp", "0A"),
    ("tcp", "proc/net/tcp6", "0A"),
    ("udp", "proc/net/udp", "07"),
    ("udp", "proc/net/udp6", "07"),
];

/// `PROTOCOL ADDRESS:PORT` of each, without the loopback's; `None` if it cannot be told.
pub(super) fn listening(root: &Path) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for (protocol, table, state) in TABLES {
        let is_second = table.ends_with('6');
        match appliance::read_virtual(&root.join(table)) {
            Some(text) => all.extend(waiting(&text, state).map(|at| format!("{protocol} {at}"))),
            // A kernel without IPv6.
            None if is_second => {}
            None => return None,
        }
    }
    all.sort();
    all.dedup();
    Some(all)
}

fn waiting(table: &str, state: &str) -> impl Iterator<Item = SocketAddr> {
    let rows = table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, _remote, found) = (columns.next()?, columns.next()?, columns.next()?);
        (found == state).then(|| address(local)).flatten()
    });
    rows.filter(|at| !at.ip().to_canonical().is_loopback())
}

/// The kernel writes an address as words in the machine's order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = hex::decode(ip).ok()?;
    for word in bytes.chunks_exact_mut(4) {
        let native = u32::from_be_bytes(word.try_into().ok()?);
        word.copy_from_slice(&native.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_is_seen_while_it_waits() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let shown = format!("tcp {}", listener.local_addr().unwrap());
        assert!(listening(Path::new("/")).unwrap().contains(&shown));
        let inner = TcpListener::bind("127.0.0.1:0").unwrap();
        let hidden = format!("tcp {}", inner.local_addr().unwrap());
        assert!(!listening(Path::new("/")).unwrap().contains(&hidden));
    }

    #[test]
    fn what_is_no_table_has_no_sockets() {
        let text =
            "header\n 0: nonsense\n 1: 00000000:0016 00000000:0000 01 x\n 2: 00:0016 0:0 0A\n";
        assert_eq!(waiting(text, "0A").count(), 0);
    }
}
