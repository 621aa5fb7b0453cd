//! From a host name and a path to a root handle: name resolution, portmapper, MOUNT version 3
//! (RFC 1813 appendix I).

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod portmap;
mod registered;
mod wire;

use std::net::SocketAddr;

use bytes::Bytes;
use datasync_endpoint::{EndpointError, ErrorKind};
use nfs3_types::mount::mountstat3;
use nfs3_types::portmap::PMAP_PORT;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::NfsConfig;
use crate::counts::{Counters, Procedure};
use crate::hostname::ServerName;
use crate::status::{ancestor_may_mount, mount_error};
use portmap::Service;
use wire::{MountFault, MountReply};

pub use registered::{Registered, registered};

/// The port that RFC 1813 names, for servers whose portmapper cannot be reached.
pub(crate) const NFS_PORT: u16 = 2049;
/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// The longest path (RFC 1813 appendix I, MNTPATHLEN).
const PATH_MAX: usize = 1024;
/// AUTH_NONE and AUTH_SYS.
const FLAVORS: [u32; 2] = [0, 1];

/// A granted mount.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// Where NFS is served.
    pub(crate) nfs: SocketAddr,
    /// The handle of the directory that was mounted.
    pub(crate) handle: Bytes,
    /// The names that lead from there to the path that was asked for.
    pub(crate) below: Vec<String>,
}

/// Where the MOUNT service may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MountPort {
    Fixed(u16),
    Portmapper,
}

/// Mounts the configured path from the first address that answers; `before`, where that was, comes
/// first if the name still has it.
pub(crate) async fn mount(
    config: &NfsConfig,
    counters: &Counters,
    before: Option<SocketAddr>,
) -> Result<Mounted, EndpointError> {
    config.check()?;
    let target = format!("{}:{}", config.server_hostname, config.path);
    let fault =
        |detail: String| EndpointError::new(ErrorKind::Invalid, "MNT", target.clone(), detail);
    let server =
        ServerName::parse(&config.server_hostname).map_err(|error| fault(error.to_string()))?;
    let path = normalize(&config.path).map_err(fault)?;
    let mut addresses = resolve(&server, config).await?;
    put_first(before, &mut addresses);
    let attempts = addresses.into_iter().map(|address| Attempt {
        config,
        counters,
        server: &server,
        path: &path,
        address,
    });
    first_of(attempts, config).await
}

fn put_first(before: Option<SocketAddr>, addresses: &mut [SocketAddr]) {
    addresses.sort_by_key(|address| Some(address.ip()) != before.map(|before| before.ip()));
}

/// The first that mounts or is refused by the server.
async fn first_of(
    attempts: impl Iterator<Item = Attempt<'_>>,
    config: &NfsConfig,
) -> Result<Mounted, EndpointError> {
    let mut tried = Vec::new();
    let mut kind = ErrorKind::NotSupported;
    for attempt in attempts {
        match attempt.run().await {
            Ok(mounted) => return Ok(mounted),
            Err(MountFault::Refused(error)) => return Err(*error),
            Err(MountFault::Failed(failed, detail)) => {
                kind = more_telling(kind, failed);
                tried.push(format!("at {}: {detail}", attempt.address.ip()));
            }
        }
    }
    if tried.is_empty() {
        return Err(no_address(config, "the name has no address"));
    }
    Err(EndpointError::new(
        kind,
        "MNT",
        format!("{}:{}", config.server_hostname, config.path),
        format!("no MOUNT service answers ({})", tried.join("; ")),
    ))
}

fn no_address(config: &NfsConfig, detail: &str) -> EndpointError {
    EndpointError::new(
        ErrorKind::Unreachable,
        "MNT",
        config.server_hostname.clone(),
        format!("the host name cannot be resolved ({detail})"),
    )
}

/// The addresses of a name, with port 0 and the zones of link-local ones.
pub(crate) async fn resolve(
    server: &ServerName,
    config: &NfsConfig,
) -> Result<Vec<SocketAddr>, EndpointError> {
    let found = timeout(config.call_timeout, lookup_host((server.host.as_str(), 0)))
        .await
        .map_err(|_| no_address(config, "no answer in time"))?
        .map_err(|error| no_address(config, &error.to_string()))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// One `/` between names, none at the end.
pub(crate) fn normalize(path: &str) -> Result<String, String> {
    if !path.starts_with('/') || path.contains('\0') || path.len() > PATH_MAX {
        return Err(format!(
            "the path must begin with '/', have no NUL and at most {PATH_MAX} bytes"
        ));
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| matches!(*name, "." | "..")) {
        return Err("the path must not contain '.' or '..'".to_owned());
    }
    Ok(format!("/{}", names.join("/")))
}

/// The path, then each directory above it, with the names below.
fn ancestors(path: &str) -> impl Iterator<Item = (String, Vec<String>)> {
    let names: Vec<String> = path
        .split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    (0..=names.len()).rev().map(move |depth| {
        let (above, below) = names.split_at(depth);
        (format!("/{}", above.join("/")), below.to_vec())
    })
}

/// In the order in which they are tried: the configured port, then, for a location with a fixed NFS
/// port, that same port before the portmapper's answer; otherwise after it.
fn mount_ports(fixed: Option<u16>, configured: Option<u16>) -> Vec<MountPort> {
    let mut ports: Vec<MountPort> = configured.map(MountPort::Fixed).into_iter().collect();
    ports.extend(match fixed {
        Some(port) => [MountPort::Fixed(port), MountPort::Portmapper],
        None => [MountPort::Portmapper, MountPort::Fixed(NFS_PORT)],
    });
    ports.dedup();
    ports
}

/// Of two ports' failures, the one that says more of why nobody mounted.
fn more_telling(one: ErrorKind, other: ErrorKind) -> ErrorKind {
    let rank = |kind| match kind {
        ErrorKind::PermissionDenied => 4,
        ErrorKind::Protocol | ErrorKind::ServerFault => 3,
        ErrorKind::Timeout => 2,
        ErrorKind::Unreachable => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// A mount from one address.
struct Attempt<'a> {
    config: &'a NfsConfig,
    counters: &'a Counters,
    server: &'a ServerName,
    path: &'a str,
    address: SocketAddr,
}

/// The same address with another port.
pub(crate) fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Mounted, MountFault> {
        let mut tried = Vec::new();
        let mut kind = ErrorKind::NotSupported;
        for candidate in mount_ports(self.server.port, self.config.mount_port) {
            let port = match candidate {
                MountPort::Fixed(port) => Ok(port),
                MountPort::Portmapper => self.port_of(Service::Mount).await,
            };
            let granted = match port {
                Ok(port) => self
                    .mount_on(port)
                    .await
                    .map_err(|fault| (Some(port), fault)),
                Err(fault) => Err((None, fault)),
            };
            match granted {
                Ok((handle, below)) => {
                    let nfs = with_port(self.address, self.nfs_port().await);
                    return Ok(Mounted { nfs, handle, below });
                }
                Err((_, refused @ MountFault::Refused(_))) => return Err(refused),
                Err((port, MountFault::Failed(failed, detail))) => {
                    kind = more_telling(kind, failed);
                    tried.push(match port {
                        Some(port) => format!("MOUNT on port {port}: {detail}"),
                        None => format!("portmapper on port 111: {detail}"),
                    });
                }
            }
        }
        Err(MountFault::Failed(kind, tried.join("; ")))
    }

    async fn nfs_port(&self) -> u16 {
        if let Some(port) = self.server.port {
            return port;
        }
        match self.port_of(Service::Nfs).await {
            Ok(port) => port,
            Err(fault) => {
                tracing::debug!(?fault, "port {NFS_PORT} is taken for NFS");
                NFS_PORT
            }
        }
    }

    async fn port_of(&self, service: Service) -> Result<u16, MountFault> {
        self.counters.add(Procedure::GetPort);
        let portmapper = with_port(self.address, PMAP_PORT);
        if portmapper.is_ipv4() {
            portmap::getport(portmapper, self.config, service).await
        } else {
            portmap::getaddr(portmapper, self.config, service).await
        }
    }

    /// Asks for the path, then for the directories above it while the refusals allow that.
    async fn mount_on(&self, port: u16) -> Result<(Bytes, Vec<String>), MountFault> {
        let address = with_port(self.address, port);
        let mut session = wire::MountSession::open(address, self.config).await?;
        let mut refusal = None;
        for (path, below) in ancestors(self.path) {
            self.counters.add(Procedure::Mnt);
            match session.mnt(&path).await? {
                MountReply::Granted { handle, flavors } => {
                    self.check_flavors(&flavors)?;
                    return Ok((handle, below));
                }
                MountReply::Refused(status) => {
                    refusal.get_or_insert(status);
                    if !ancestor_may_mount(status) {
                        break;
                    }
                }
            }
        }
        // Some servers say NOENT or ACCES for "/" too: the answer for the path itself counts.
        let status = refusal.unwrap_or(mountstat3::MNT3ERR_NOENT);
        Err(MountFault::refused(mount_error(
            status,
            &self.config.server_hostname,
            self.path,
        )))
    }

    fn check_flavors(&self, flavors: &[u32]) -> Result<(), MountFault> {
        if flavors.is_empty() || flavors.iter().any(|flavor| FLAVORS.contains(flavor)) {
            return Ok(());
        }
        Err(MountFault::refused(EndpointError::new(
            ErrorKind::NotSupported,
            "MNT",
            format!("{}:{}", self.config.server_hostname, self.path),
            format!(
                "the export takes the security flavors {flavors:?} only; allow AUTH_SYS (sec=sys) \
                 for this agent"
            ),
        )))
    }
}

#[cfg(test)]
mod tests;
