//! Asking a server's portmapper alone.

use datasync_endpoint::{EndpointError, ErrorKind};

use super::portmap::Service;
use super::wire::MountFault;
use super::{Attempt, no_address, resolve};
use crate::config::NfsConfig;
use crate::counts::Counters;
use crate::hostname::ServerName;

/// The TCP ports that a portmapper names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// Of NFS version 3.
    pub nfs: u16,
    /// Of MOUNT version 3.
    pub mount: u16,
}

/// What the portmapper of the first address that answers says.
///
/// # Errors
/// As [`NfsSource::mount`](crate::NfsSource::mount).
pub async fn registered(config: &NfsConfig) -> Result<Registered, EndpointError> {
    config.check()?;
    let failed = |kind, detail: String| {
        EndpointError::new(kind, "GETPORT", config.server_hostname.clone(), detail)
    };
    let server = ServerName::parse(&config.server_hostname)
        .map_err(|error| failed(ErrorKind::Invalid, error.to_string()))?;
    let counters = Counters::default();
    let mut last = no_address(config, "the name has no address");
    for address in resolve(&server, config).await? {
        let attempt = Attempt {
            config,
            counters: &counters,
            server: &server,
            path: "/",
            address,
        };
        match ports(&attempt).await {
            Ok(ports) => return Ok(ports),
            Err(MountFault::Refused(error)) => return Err(*error),
            Err(MountFault::Failed(kind, detail)) => {
                last = failed(kind, format!("portmapper at {}: {detail}", address.ip()));
            }
        }
    }
    Err(last)
}

async fn ports(attempt: &Attempt<'_>) -> Result<Registered, MountFault> {
    Ok(Registered {
        nfs: attempt.port_of(Service::Nfs).await?,
        mount: attempt.port_of(Service::Mount).await?,
    })
}
