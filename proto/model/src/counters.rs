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

            /// Raises each count to that of `newer` where that is more, and gives what was added.
            pub fn raise(&mut self, newer: &Self) -> Self {
                let mut added = Self::default();
                $(if newer.$field > self.$field {
                    added.$field = newer.$field - self.$field;
                    self.$field = newer.$field;
                })+
                added
            }
        }
    };
}

counters! {
/// Counters of one execution, cumulative over restarts. Items are files, directories, symlinks.
///
/// Counts of directories are parts of the counts above them (DescribeTaskExecution separates
/// them in ENHANCED mode, and only there).
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
    /// Of `failed`: objects that could not be deleted.
    delete_failed,
    /// Of `discovered`: directories.
    directories_discovered,
    /// Of `to_transfer`: directories.
    directories_to_transfer,
    /// Of `transferred`: directories.
    directories_transferred,
    /// Of `skipped`: directories.
    directories_skipped,
    /// Of `failed`: directories, those that could not be listed and deletes included.
    directories_failed,
    /// Of `directories_failed`: directories that could not be listed to their end.
    directories_unlisted,
    /// Of `verified`: directories.
    directories_verified,
    /// Of `mismatched`: directories.
    directories_mismatched,
    /// Of `to_delete`: directories' objects.
    directories_to_delete,
    /// Of `deleted`: directories' objects.
    directories_deleted,
    /// Of `delete_failed`: directories' objects.
    directories_delete_failed,
}
}

impl Counters {
    /// The same counts, of directories only.
    #[must_use]
    pub fn of_directories(self) -> Self {
        Self {
            directories_discovered: self.discovered,
            directories_to_transfer: self.to_transfer,
            directories_transferred: self.transferred,
            directories_skipped: self.skipped,
            directories_failed: self.failed,
            directories_verified: self.verified,
            directories_mismatched: self.mismatched,
            directories_to_delete: self.to_delete,
            directories_deleted: self.deleted,
            directories_delete_failed: self.delete_failed,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_is_raised_never_falls() {
        let of = |failed, deleted| Counters {
            failed,
            deleted,
            ..Counters::default()
        };
        let mut seen = of(5, 1);
        assert_eq!(seen.raise(&of(3, 4)), of(0, 3));
        assert_eq!(seen, of(5, 4));
        assert_eq!(seen.raise(&of(7, 4)), of(2, 0));
    }
}
