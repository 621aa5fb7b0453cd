//! The source against nfs-ganesha, a server that we did not write. Run by
//! `tests/world/ganesha.sh run -- cargo test -p datasync-nfs --test ganesha -- --ignored`.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests"
)]

mod contract;
mod export;
mod faults;
mod mounts;
mod tree;
