//! The engine against the in-memory source and destination, in virtual time.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows only functions marked as tests"
)]

mod cancelling;
mod catalog;
mod changes;
mod continuing;
mod copying;
mod deletes;
mod faults;
mod integrity;
mod metadata;
mod protecting;
mod random;
mod rates;
mod reopening;
mod restarts;
mod resumed;
mod resuming;
mod streaming;
mod sweep;
mod uploads;
mod world;
