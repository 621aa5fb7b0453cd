//! A body that is read while it is sent, for parts that memory cannot hold.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;

use crate::Pace;

/// The source could not be read to the end: whoever reads it knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the source could not be read to the end of the part")]
pub struct BrokenOff;

/// The chunks of a [`PartStream`].
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>;

/// A part whose bytes, and so its checksum, are known only once it has been sent. It can be sent
/// once: another try needs another stream.
pub struct PartStream {
    /// In order, none empty, [`PartStream::length`] bytes in all. After an error the request must
    /// not be completed.
    pub chunks: Chunks,
    /// In bytes.
    pub length: u64,
    /// Grants for every slice written.
    pub pace: Arc<dyn Pace>,
}

impl std::fmt::Debug for PartStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartStream")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
