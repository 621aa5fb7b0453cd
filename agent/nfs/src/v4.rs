//! NFS version 4, minor versions 0 (RFC 7530), 1 (RFC 8881) and 2 (RFC 7862), as far as reading and
//! writing go. Nothing stays open: READs and WRITEs carry the anonymous stateid, so that a small file
//! costs one call, as it does in version 3, and a server that was restarted has no state of ours to
//! lose.

mod acl;
mod attributes;
mod client;
mod compound;
mod directory;
mod extended;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod holes;
mod owner;
mod owners;
mod session;
mod slots;
mod source;
mod status;
mod xattrs;

pub(crate) use client::Client;
pub use owners::Owners;
pub(crate) use source::{Nfs4Source, is_silent};
