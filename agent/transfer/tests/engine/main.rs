//! The engine against the in-memory source and destination, in virtual time.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows only functions marked as tests"
)]

mod batches;
mod bit_flips;
mod bottlenecks;
mod cancelling;
mod catalog;
mod changes;
mod continuing;
mod copying;
mod deletes;
mod dry_runs;
mod extended;
mod faults;
mod integrity;
mod links;
mod logs;
mod manifests;
mod metadata;
mod protecting;
mod rates;
mod reopening;
mod report_room;
mod reports;
mod requests;
mod restarts;
mod resumed;
mod resuming;
mod scanning;
mod simulated;
mod sparing;
mod streaming;
mod sweep;
mod trees;
mod uploads;
mod within;
mod world;
