//! The API's counters. BASIC mode counts files and directories together; ENHANCED mode counts
//! them apart, and says where items failed (API reference, DescribeTaskExecution).

use datasync_model::{Counters, PreserveDeletedFiles, TaskMode, TransferMode};
use serde_json::{Map, Value, json};

use crate::records::Execution;

/// The counters that the execution's mode has.
pub(super) fn shown(execution: &Execution) -> Map<String, Value> {
    let count = execution
        .report
        .as_ref()
        .map(|report| report.counters)
        .unwrap_or_default();
    let options = &execution.spec.options;
    match execution.spec.task_mode {
        TaskMode::Basic => basic(
            &count,
            options.preserve_deleted_files == PreserveDeletedFiles::Remove,
        ),
        TaskMode::Enhanced => enhanced(&count, options.transfer_mode == TransferMode::All),
    }
}

fn bytes(count: &Counters) -> [(&'static str, u64); 4] {
    [
        ("EstimatedBytesToTransfer", count.bytes_to_transfer),
        ("BytesWritten", count.bytes_written),
        ("BytesTransferred", count.bytes_transferred),
        ("BytesCompressed", count.bytes_transferred),
    ]
}

fn map(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counts
        .into_iter()
        .map(|(name, count)| (name.to_owned(), Value::from(count)))
        .collect()
}

/// The estimate of BASIC mode holds deletes as well.
fn basic(count: &Counters, removes: bool) -> Map<String, Value> {
    let deletes = if removes { count.to_delete } else { 0 };
    let items = [
        (
            "EstimatedFilesToTransfer",
            count.to_transfer.saturating_add(deletes),
        ),
        ("FilesTransferred", count.transferred),
        ("EstimatedFilesToDelete", count.to_delete),
        ("FilesDeleted", count.deleted),
        ("FilesSkipped", count.skipped.saturating_add(count.failed)),
        ("FilesVerified", count.verified),
    ];
    map(items.into_iter().chain(bytes(count)))
}

/// Counts of one kind of item.
struct Kind {
    discovered: u64,
    to_transfer: u64,
    transferred: u64,
    skipped: u64,
    verified: u64,
    mismatched: u64,
    to_delete: u64,
    deleted: u64,
    failed: u64,
    unlisted: u64,
    delete_failed: u64,
}

impl Kind {
    fn folders(count: &Counters) -> Self {
        Self {
            discovered: count.directories_discovered,
            to_transfer: count.directories_to_transfer,
            transferred: count.directories_transferred,
            skipped: count.directories_skipped,
            verified: count.directories_verified,
            mismatched: count.directories_mismatched,
            to_delete: count.directories_to_delete,
            deleted: count.directories_deleted,
            failed: count.directories_failed,
            unlisted: count.directories_unlisted,
            delete_failed: count.directories_delete_failed,
        }
    }

    fn files(count: &Counters) -> Self {
        let folders = Self::folders(count);
        let rest = |all: u64, folders: u64| all.saturating_sub(folders);
        Self {
            discovered: rest(count.discovered, folders.discovered),
            to_transfer: rest(count.to_transfer, folders.to_transfer),
            transferred: rest(count.transferred, folders.transferred),
            skipped: rest(count.skipped, folders.skipped),
            verified: rest(count.verified, folders.verified),
            mismatched: rest(count.mismatched, folders.mismatched),
            to_delete: rest(count.to_delete, folders.to_delete),
            deleted: rest(count.deleted, folders.deleted),
            failed: rest(count.failed, folders.failed),
            unlisted: 0,
            delete_failed: rest(count.delete_failed, folders.delete_failed),
        }
    }

    /// What is not listed and not deleted has failed on its way.
    fn transfer_failed(&self) -> u64 {
        self.failed
            .saturating_sub(self.unlisted)
            .saturating_sub(self.delete_failed)
    }

    /// Directories that were not listed to their end and objects that were not deleted count as
    /// failed items, but they are no further items of the source.
    fn listed(&self) -> Value {
        let at_source = self
            .discovered
            .saturating_sub(self.unlisted)
            .saturating_sub(self.delete_failed);
        json!({"AtSource": at_source, "AtDestinationForDelete": self.to_delete})
    }

    /// Preparing is part of an item's transfer here: nothing fails in it alone.
    fn failed(&self) -> Map<String, Value> {
        map([
            ("Prepare", 0),
            ("Transfer", self.transfer_failed()),
            ("Verify", self.mismatched),
            ("Delete", self.delete_failed),
        ])
    }
}

fn enhanced(count: &Counters, transfers_all: bool) -> Map<String, Value> {
    let (files, folders) = (Kind::files(count), Kind::folders(count));
    let mut shown = map(bytes(count));
    for (one, kind) in [("Files", &files), ("Folders", &folders)] {
        let named = [
            (format!("Estimated{one}ToTransfer"), kind.to_transfer),
            (format!("Estimated{one}ToDelete"), kind.to_delete),
            (format!("{one}Transferred"), kind.transferred),
            (format!("{one}Deleted"), kind.deleted),
            (format!("{one}Skipped"), kind.skipped),
            (format!("{one}Verified"), kind.verified),
        ];
        shown.extend(named.map(|(name, count)| (name, Value::from(count))));
        // Nothing is compared with TransferMode ALL.
        if !transfers_all {
            shown.insert(format!("{one}Prepared"), kind.to_transfer.into());
        }
        shown.insert(format!("{one}Listed"), kind.listed());
        let mut failed = kind.failed();
        if one == "Folders" {
            failed.insert("List".to_owned(), kind.unlisted.into());
        }
        shown.insert(format!("{one}Failed"), Value::Object(failed));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Counters {
        Counters {
            discovered: 23,
            unchanged: 4,
            to_transfer: 12,
            bytes_to_transfer: 900,
            transferred: 9,
            bytes_written: 800,
            bytes_transferred: 850,
            skipped: 3,
            failed: 7,
            verified: 8,
            mismatched: 2,
            to_delete: 6,
            deleted: 4,
            delete_failed: 2,
            directories_discovered: 6,
            directories_to_transfer: 3,
            directories_transferred: 2,
            directories_skipped: 0,
            directories_failed: 3,
            directories_unlisted: 1,
            directories_verified: 2,
            directories_mismatched: 1,
            directories_to_delete: 2,
            directories_deleted: 1,
            directories_delete_failed: 1,
        }
    }

    #[test]
    fn basic_mode_counts_files_and_directories_together() {
        let shown = Value::Object(basic(&counted(), true));
        assert_eq!(
            shown,
            json!({
                "EstimatedFilesToTransfer": 18, "EstimatedBytesToTransfer": 900,
                "FilesTransferred": 9, "BytesWritten": 800, "BytesTransferred": 850,
                "BytesCompressed": 850, "EstimatedFilesToDelete": 6, "FilesDeleted": 4,
                "FilesSkipped": 10, "FilesVerified": 8,
            })
        );
    }

    #[test]
    fn enhanced_mode_counts_them_apart() {
        let shown = Value::Object(enhanced(&counted(), false));
        assert_eq!(
            shown,
            json!({
                "EstimatedBytesToTransfer": 900, "BytesWritten": 800, "BytesTransferred": 850,
                "BytesCompressed": 850,
                "EstimatedFilesToTransfer": 9, "EstimatedFoldersToTransfer": 3,
                "EstimatedFilesToDelete": 4, "EstimatedFoldersToDelete": 2,
                "FilesTransferred": 7, "FoldersTransferred": 2,
                "FilesDeleted": 3, "FoldersDeleted": 1,
                "FilesSkipped": 3, "FoldersSkipped": 0,
                "FilesVerified": 6, "FoldersVerified": 2,
                "FilesPrepared": 9, "FoldersPrepared": 3,
                "FilesListed": {"AtSource": 16, "AtDestinationForDelete": 4},
                "FoldersListed": {"AtSource": 4, "AtDestinationForDelete": 2},
                "FilesFailed": {"Prepare": 0, "Transfer": 3, "Verify": 1, "Delete": 1},
                "FoldersFailed": {"List": 1, "Prepare": 0, "Transfer": 1, "Verify": 1, "Delete": 1},
            })
        );
    }

    #[test]
    fn nothing_is_prepared_when_all_is_transferred() {
        let shown = enhanced(&counted(), true);
        assert!(!shown.contains_key("FilesPrepared") && !shown.contains_key("FoldersPrepared"));
    }
}
