//! What an execution has counted so far.

use serde::{Deserialize, Serialize};

/// Counters of one execution, cumulative over restarts. Items are files, directories, symlinks.
///
/// Invariant I8: `discovered = unchanged + transferred + skipped + failed + in flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Items seen at the source, inside the filters.
    pub discovered: u64,
    /// Items whose destination already agrees.
    pub unchanged: u64,
    /// Items to be written: content, metadata or both.
    pub to_transfer: u64,
    /// Logical bytes to be written.
    pub bytes_to_transfer: u64,
    /// Items written and acknowledged by the store with the right checksum.
    pub transferred: u64,
    /// Logical bytes of items written.
    pub bytes_written: u64,
    /// Body bytes given to the network, retries included.
    pub bytes_transferred: u64,
    /// Items left out on purpose: unsupported types, overwrite protection.
    pub skipped: u64,
    /// Items that should have been handled and were not.
    pub failed: u64,
    /// Items that the verification confirmed.
    pub verified: u64,
    /// Items that the verification found to differ.
    pub mismatched: u64,
    /// Objects to be deleted at the destination.
    pub to_delete: u64,
    /// Objects deleted.
    pub deleted: u64,
}
