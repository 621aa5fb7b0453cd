//! A bucket, or a prefix in it, as a destination and as a source: at AWS or at any S3-compatible
//! store.
//!
//! Bodies are sent with a checksum that was computed before (`x-amz-checksum-crc64nvme` or another), or
//! that follows them, and are not signed, so they are read once. What the store's answers are worth is probed when it is
//! opened, see [`S3Destination::open`].

mod body;
mod bounded;
mod calls;
mod check;
mod client;
mod clock;
mod config;
mod copy;
mod copy_parts;
mod date;
mod deletes;
mod destination;
mod error;
mod headers;
mod lean;
mod leftovers;
mod listing;
mod multipart;
mod object;
mod objects;
mod open;
mod parts;
mod place;
mod presence;
mod probe;
mod properties;
mod put;
mod requests;
mod source;
mod sums;
mod trailer;
mod upload_part;
mod within;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use lean::fuzzing;

pub use calls::CallCounts;
pub use config::{Encryption, Kms, S3Config};
pub use destination::S3Destination;
pub use objects::{Download, S3Objects};
pub use place::OBJECT_MAX;
pub use source::{S3Source, Shape};
