//! The destination and the source over the embedded store, with its levels of integrity, and over a
//! sink that speaks HTTP by hand.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

mod answers;
mod checksums;
mod contract;
mod dates;
mod deletes;
mod lies;
mod metadata;
mod objects;
mod opening;
mod presence;
mod proxy;
mod requests;
mod settings;
mod setup;
mod single;
mod sink;
mod skew;
mod source;
mod uploads;
mod within;
mod world;
