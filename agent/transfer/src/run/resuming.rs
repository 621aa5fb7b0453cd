//! What became of the source while no process was at the execution.

use datasync_endpoint::{Destination, EntryKind, Key, Source};
use datasync_model::{ErrorCode, Failure};
use tokio::task::JoinSet;

use super::scanning::{Scan, Work, merge_error};
use super::{Ended, Engine};
use crate::failures::Verdict;
use crate::journal::Pending;
use crate::lanes::Ticket;
use crate::locate::locate;
use crate::merge::MergeError;
use crate::mover::Resumed;
use crate::outcome::{ItemFailure, Outcome};
use crate::walk::{SourceEntry, Walked, key_too_long};

impl<S: Source, D: Destination> Engine<S, D> {
    /// Begins an item that an earlier run of the process did not finish, as the source has it now.
    pub(super) async fn resume_item(
        &mut self,
        number: u64,
        pending: &Pending,
        was_uploading: bool,
        scan: &mut Scan,
    ) -> Result<(), Ended> {
        let key = &pending.key;
        let ticket = Ticket {
            number,
            key: key.clone(),
            path: key.path().unwrap_or_default(),
        };
        if let Some(outcome) = self.listed_outcome(key) {
            return self.record(ticket, outcome, None).await;
        }
        match self.find(key).await {
            Ok(entry) => {
                scan.facts.source_has_entries |= !key.as_str().is_empty();
                let item = Resumed {
                    entry,
                    existed: pending.existed,
                    was_uploading,
                };
                self.start_item(ticket, Work::Resumed(item), scan);
                Ok(())
            }
            Err(failure) => self.record(ticket, Outcome::Failed(failure), None).await,
        }
    }

    /// The outcome of an item on the list of failures: only the record of its end was lost. (A
    /// directory may be there for what is in it.)
    pub(super) fn listed_outcome(&self, key: &Key) -> Option<Outcome> {
        let failure = Failure::new(ErrorCode::Internal, "the item is on the list already");
        if key.is_directory() {
            return None;
        }
        match self.failures.verdict(key)? {
            Verdict::Failed => Some(Outcome::Failed(ItemFailure {
                failure,
                endpoint_wide: false,
            })),
            Verdict::Skipped => Some(Outcome::Skipped(failure)),
            Verdict::Mismatched => None,
        }
    }

    async fn find(&self, key: &Key) -> Result<SourceEntry, ItemFailure> {
        let path = key
            .path()
            .map_err(|error| ItemFailure::new(ErrorCode::KeyNotAllowed, error.to_string()))?;
        let key_max = self.destination.abilities().key_max;
        if key.as_str().len() > key_max {
            return Err(ItemFailure::of_source(&key_too_long(&path, key, key_max)));
        }
        let found = locate(&*self.source, &path, &self.attempts).await;
        match found.map_err(|error| ItemFailure::of_source(&error))? {
            Some(node) if key.is_directory() == (node.attributes.kind == EntryKind::Directory) => {
                Ok(SourceEntry {
                    key: key.clone(),
                    path,
                    node,
                })
            }
            Some(_) | None => Err(ItemFailure::vanished()),
        }
    }

    /// Whether the source has anything besides its root now, as far as the scope goes.
    pub(super) async fn source_has_entries(&self) -> Result<bool, Ended> {
        let mut streams = JoinSet::new();
        let mut walked = self.start_walk(None, &mut streams);
        loop {
            match walked.next().await {
                Some(Walked::Entry(entry)) if entry.key.as_str().is_empty() => {}
                Some(Walked::Unread { .. }) => {}
                Some(Walked::Entry(_) | Walked::Unknown { .. }) => return Ok(true),
                Some(Walked::End) => return Ok(false),
                Some(Walked::Broken(error)) => return Err(merge_error(MergeError::Source(error))),
                None => return Err(merge_error(MergeError::Lost("walk"))),
            }
        }
    }
}
