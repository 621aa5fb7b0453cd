//! The source side: listing, reading, looking up. No mutating call exists.

use std::future::Future;

use bytes::Bytes;
use datasync_model::RequestCounts;

use crate::{Attributes, EndpointError};

/// A server's opaque name of an entry: an NFS file handle, an object key. At most 128 bytes for
/// NFS, 1024 for S3.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Handle(pub Bytes);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({} bytes)", self.0.len())
    }
}

/// An entry that was looked up.
#[derive(Debug, Clone)]
pub struct Node {
    /// For later calls.
    pub handle: Handle,
    /// As of the lookup.
    pub attributes: Attributes,
}

/// One entry of a directory. `.` and `..` never occur.
#[derive(Debug, Clone)]
pub struct DirEntry {
    /// The name: 1 to 255 bytes, no `/`, no NUL (checked by the implementation).
    pub name: Bytes,
    /// Handle and attributes; the implementation looks up what the server left out. The error of
    /// one entry does not fail the page.
    pub node: Result<Node, std::sync::Arc<EndpointError>>,
}

/// Where to go on in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirCursor {
    /// Cookie of the last entry of the page before.
    pub cookie: u64,
    /// Cookie verifier of the page before.
    pub verifier: [u8; 8],
}

/// A page of a directory, in the server's order.
#[derive(Debug, Clone)]
pub struct DirPage {
    /// The entries.
    pub entries: Vec<DirEntry>,
    /// `None` after the last page.
    pub next: Option<DirCursor>,
}

/// Bytes of a file.
#[derive(Debug, Clone)]
pub struct ReadReply {
    /// At most as many bytes as were asked for; fewer is legal, none only at the end of the file.
    pub data: Bytes,
    /// Whether the last byte of `data` is the last of the file.
    pub eof: bool,
    /// Attributes after the READ, where the server sent them.
    pub attributes: Option<Attributes>,
}

/// Where entries come from. All calls may run concurrently on one value, and a call that is
/// dropped leaves the connection usable (or retired).
///
/// Implementations answer transient errors as they are; retrying is the engine's decision.
pub trait Source: Send + Sync + 'static {
    /// The most bytes that one [`Source::read`] can return.
    fn read_max(&self) -> u32;

    /// Requests made so far, retries included, in the words of the protocol; none where nobody
    /// counts them.
    fn requests(&self) -> RequestCounts {
        RequestCounts::default()
    }

    /// The directory that the transfer starts from.
    fn root(&self) -> impl Future<Output = Result<Node, EndpointError>> + Send;

    /// One page of a directory; `cursor` is `None` for the first page.
    fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> impl Future<Output = Result<DirPage, EndpointError>> + Send;

    /// Looks up one name; `Ok(None)` only if the server said that it does not exist.
    fn lookup(
        &self,
        directory: &Handle,
        name: &[u8],
    ) -> impl Future<Output = Result<Option<Node>, EndpointError>> + Send;

    /// Present attributes, not from any cache.
    fn attributes(
        &self,
        handle: &Handle,
    ) -> impl Future<Output = Result<Attributes, EndpointError>> + Send;

    /// Reads `length` bytes (at most [`Source::read_max`]) at `offset`.
    fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> impl Future<Output = Result<ReadReply, EndpointError>> + Send;

    /// The target of a symbolic link: at most 4096 bytes.
    fn read_link(&self, link: &Handle)
    -> impl Future<Output = Result<Bytes, EndpointError>> + Send;
}
