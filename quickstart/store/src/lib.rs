//! An S3 store in one process over a local directory, for the quickstart and for tests.
//!
//! `s3s` does routing, XML and SigV4; what is stored, in which order it is listed and which
//! checksums are believed is decided here. Any legal key works: keys are hashed into file names
//! and kept in full in the object's record. A `PutObject` whose checksum is wrong leaves nothing
//! behind.
//!
//! Memory: one index entry per object, about 110 bytes plus the key; a million objects with
//! 60-byte keys need about 170 MB. The index is rebuilt from the records at start.
//!
//! On disk: `<root>/<bucket>/records/<hh>/<sha256(key)>.json` (one per object),
//! `data/<hh>/<id>` (immutable content, referred to by records and parts),
//! `uploads/<upload id>/` (open multipart uploads), `tmp/`.

mod access;
mod bucket;
mod checksum;
mod config;
mod disk;
mod expect;
mod faults;
mod index;
mod object;
mod ops;
mod server;
mod unread;
mod upload;

pub use config::{StoreConfig, StoreIntegrity};
pub use faults::{Fault, Faults, Rule};
pub use server::serve;
