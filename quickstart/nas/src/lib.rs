//! An NFSv3 and MOUNT server in one process, read-only, for the quickstart and for tests.
//!
//! `nfs3_server` speaks RPC; what is exported is decided here: a local directory with byte-exact
//! names and true attributes, or a synthetic tree of any size that exists only as arithmetic.
//! Both programs answer on one port; the mount path is `/`. File handles hold for the life of the
//! server; a restarted one answers those of before with `NFS3ERR_STALE`.
//!
//! Memory: about 200 bytes for every entry of a local directory that a client has seen; constant
//! for a synthetic tree.

mod export;
mod read_only;
mod server;
mod synthetic;

pub use server::{serve, serve_synthetic};
pub use synthetic::SyntheticTree;
