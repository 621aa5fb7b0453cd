//! What an execution has counted so far.

use serde::{Deserialize, Serialize};

fn is_zero(count: &u64) -> bool {
    *count == 0
}

macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$fmeta])* #[serde(default, skip_serializing_if = "is_zero")] pub $field: u64,)+
        }

        impl $name {
            /// Adds each count of `more`.
            pub fn add(&mut self, more: &Self) {
                $(self.$field = self.$field.saturating_add(more.$field);)+
            }
        }
    };
}

counters! {
/// Counters of one execution, cumulative over restarts. Items are files, directories, symlinks.
///
/// Invariant I8: `discovered = unchanged + transferred + skipped + failed + in flight`.
Counters {
    /// Items seen at the source, inside the filters.
    discovered,
    /// Items whose destination already agrees.
    unchanged,
    /// Items to be written: content, metadata or both.
    to_transfer,
    /// Logical bytes to be written.
    bytes_to_transfer,
    /// Items written and acknowledged by the store with the right checksum.
    transferred,
    /// Logical bytes of items written.
    bytes_written,
    /// Body bytes given to the network, retries included.
    bytes_transferred,
    /// Items left out on purpose: unsupported types, overwrite protection.
    skipped,
    /// Items that should have been handled and were not.
    failed,
    /// Items that the verification confirmed.
    verified,
    /// Items that the verification found to differ.
    mismatched,
    /// Objects to be deleted at the destination.
    to_delete,
    /// Objects deleted.
    deleted,
}
}
