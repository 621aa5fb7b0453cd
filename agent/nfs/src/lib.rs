//! NFS as source and destination, version 3 (RFC 1813) and version 4, over user-space RPC (RFC 5531).
//!
//! MOUNT and the portmapper go through `nfs3_client`; the hot calls go through a small transport of
//! our own that keeps many calls in flight on a few connections, bounds everything that a server
//! announces, and survives a server that goes away and comes back.
//!
//! Callers may drop their wait at any time, never the call: it stays in flight, and counts as such,
//! until it is answered or its connection is retired. A caller that keeps a call without polling it
//! while it awaits another one may wait for ever: its turn may have come to the one it does not poll.

mod attributes;
mod changes;
mod client;
mod config;
mod connection;
mod counts;
mod destination;
mod directory;
mod hostname;
mod lacking;
mod mount;
mod pool;
mod position;
mod record;
mod rpc;
mod socket;
mod source;
mod status;
mod tls;
mod transport;
mod v4;
mod versions;
mod xdr;

#[cfg(test)]
mod script;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing {
    //! What the fuzz targets of `tests/fuzz` call.
    pub use crate::client::fuzzing::nfs_reply;
    pub use crate::mount::fuzzing::mount_reply;
    pub use crate::record::fuzzing::rpc_record;
    pub use crate::v4::fuzzing::nfs4_reply;
}

pub use config::{NfsConfig, PrivilegedPorts};
pub use counts::CallCounts;
pub use destination::NfsDestination;
pub use hostname::{NotAServer, ServerName};
pub use lacking::LackingVersions;
pub use mount::{Registered, registered};
pub use tls::{NoTls, SessionFuture, Tls, TlsSession};
pub use v4::Owners;
pub use versions::NfsSource;
