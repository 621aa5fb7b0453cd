//! The engine against the in-memory source and destination, in virtual time.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows only functions marked as tests"
)]

mod bit_flips;
mod cancelling;
mod catalog;
mod changes;
mod copying;
mod deletes;
mod faults;
mod integrity;
mod metadata;
mod protecting;
mod rates;
mod resumed;
mod resuming;
mod simulated;
mod streaming;
mod uploads;
mod world;
