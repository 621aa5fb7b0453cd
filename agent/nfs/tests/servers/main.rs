//! The source against servers that we did not write, nfs-ganesha and the Linux kernel's. Run by
//! `tests/world/ganesha.sh run -- cargo test -p datasync-nfs --test servers -- --ignored`, and by
//! the same of `kernel.sh`.

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
