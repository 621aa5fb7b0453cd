//! What the agent tells programs on its own machine, such as the local console: one JSON document
//! for each connection to a Unix socket in the state directory. Nothing is read from there.

mod board;
mod client;
mod server;
mod snapshot;

pub(crate) use board::{Board, Watched};
pub(crate) use client::{AskError, ask};
pub(crate) use server::{listen, serve};
pub(crate) use snapshot::{SessionState, Snapshot};

/// The socket's name in the state directory.
const SOCKET: &str = "console.sock";
/// The longest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
