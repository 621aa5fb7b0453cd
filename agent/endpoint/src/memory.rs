//! In-memory source and destination for tests: real behaviour, scripted faults, a log of calls.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "test support: a test that asks for something impossible must fail loudly"
)]

mod bodies;
mod destination;
mod expected;
mod file_system;
mod objects;
mod placed;
mod script;
mod source;
mod tree;
mod tree_destination;
mod within;

pub use destination::MemoryDestination;
pub use expected::{Expected, differences, expected};
pub use file_system::MemoryFileSystem;
pub use objects::{BodySpan, EPOCH, Stored, Transit};
pub use script::{Action, Call, Fault, Operation, Script};
pub use source::MemorySource;
pub use tree::{Inode, Tree};
pub use tree_destination::MemoryTreeDestination;
