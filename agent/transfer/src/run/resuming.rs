//! What became of the source while no process was at the execution.

use std::sync::Arc;

use datasync_endpoint::{Destination, EntryKind, Key, Source};
use datasync_model::ErrorCode;
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use super::merging::merge_error;
use super::scanning::{Scan, Work, handle};
use super::{Ended, Engine};
use crate::attempts::Attempts;
use crate::failures::Verdict;
use crate::journal::State;
use crate::lanes::Ticket;
use crate::locate::locate;
use crate::merge::MergeError;
use crate::mover::Resumed;
use crate::outcome::{ItemFailure, Outcome};
use crate::report::ItemFacts;
use crate::walk::{SourceEntry, Walked, key_too_long};

/// Items that are looked for at once.
const FINDS_IN_FLIGHT: usize = 16;

impl<S: Source, D: Destination> Engine<S, D> {
    /// Begins the items that an earlier run of the process did not finish, as the source has them
    /// now: first those that were being uploaded. Each begins as soon as it is found.
    pub(super) async fn begin_pending(
        &mut self,
        state: &State,
        scan: &mut Scan,
    ) -> Result<(), Ended> {
        let items = self.unfinished(state).await?;
        let finder = self.finder();
        let mut found = stream::iter(items)
            .map(|item| finder.resumed(item))
            .buffer_unordered(FINDS_IN_FLIGHT);
        let mover = self.mover.clone();
        loop {
            scan.lanes.start_waiting(|work| handle(mover.clone(), work));
            tokio::select! {
                biased;
                Some((ticket, done)) = scan.lanes.next() => self.finish(ticket, done).await?,
                next = found.next(), if scan.lanes.has_room() => match next {
                    None => return Ok(()),
                    Some((ticket, Ok(item))) => {
                        scan.facts.source_has_entries |= !item.entry.key.as_str().is_empty();
                        self.start_item(ticket, Work::Resumed(item), scan);
                    }
                    Some((ticket, Err(failure))) => {
                        self.record(ticket, Outcome::Failed(failure), None).await?;
                    }
                },
            }
        }
    }

    /// Pending items in the order in which they go on; those whose outcome is known are recorded.
    async fn unfinished(&mut self, state: &State) -> Result<Vec<Unfinished>, Ended> {
        let mut items = Vec::with_capacity(state.pending.len());
        for (number, pending) in &state.pending {
            let ticket = Ticket {
                number: *number,
                key: pending.key.clone(),
                path: pending.key.path().unwrap_or_default(),
                facts: ItemFacts {
                    existed: (!self.is_blind()).then_some(pending.existed),
                    ..ItemFacts::default()
                },
            };
            match self.listed_outcome(&pending.key).await? {
                Some(outcome) => self.record(ticket, outcome, None).await?,
                None => items.push(Unfinished {
                    ticket,
                    existed: pending.existed,
                    was_uploading: state.uploads.contains_key(&pending.key),
                }),
            }
        }
        items.sort_by_key(|item| !item.was_uploading);
        Ok(items)
    }

    /// The outcome of an item on the list of failures: only the record of its end was lost. (A
    /// directory may be there for what is in it.)
    pub(super) async fn listed_outcome(&self, key: &Key) -> Result<Option<Outcome>, Ended> {
        if key.is_directory() || !self.failures.is_settled(key) {
            return Ok(None);
        }
        let line = self.failures.line(key).await?;
        Ok(line.and_then(|line| match line.outcome {
            Verdict::Failed => Some(Outcome::Failed(ItemFailure {
                failure: line.failure,
                endpoint_wide: false,
                is_in_place: false,
            })),
            Verdict::Skipped => Some(Outcome::Skipped(line.failure)),
            Verdict::Mismatched => None,
        }))
    }

    fn finder(&self) -> Finder<S> {
        Finder {
            source: self.source.clone(),
            attempts: self.attempts.clone(),
            key_max: self.destination.abilities().key_max,
        }
    }

    /// Whether the source has anything besides its root now, as far as the scope goes.
    pub(super) async fn source_has_entries(&self) -> Result<bool, Ended> {
        let mut streams = JoinSet::new();
        let mut walked = self.start_walk(None, None, &mut streams);
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

/// An item that an earlier run of the process did not finish.
struct Unfinished {
    ticket: Ticket,
    existed: bool,
    was_uploading: bool,
}

/// Looks for the entry of a key.
struct Finder<S> {
    source: Arc<S>,
    attempts: Arc<Attempts>,
    /// The longest key in bytes.
    key_max: usize,
}

impl<S: Source> Finder<S> {
    async fn resumed(&self, item: Unfinished) -> (Ticket, Result<Resumed, ItemFailure>) {
        let found = self.find(&item.ticket.key).await;
        let mut ticket = item.ticket;
        ticket.facts.attributes = found.as_ref().ok().map(|entry| entry.node.attributes);
        let resumed = found.map(|entry| Resumed {
            entry,
            existed: item.existed,
            was_uploading: item.was_uploading,
        });
        (ticket, resumed)
    }

    async fn find(&self, key: &Key) -> Result<SourceEntry, ItemFailure> {
        let path = key
            .path()
            .map_err(|error| ItemFailure::new(ErrorCode::KeyNotAllowed, error.to_string()))?;
        if key.as_str().len() > self.key_max {
            return Err(ItemFailure::of_source(&key_too_long(
                &path,
                key,
                self.key_max,
            )));
        }
        let is_directory = key.is_directory();
        let found = locate(&*self.source, &path, is_directory, &self.attempts).await;
        match found.map_err(|error| ItemFailure::of_source(&error))? {
            Some(node) if is_directory == (node.attributes.kind == EntryKind::Directory) => {
                Ok(SourceEntry {
                    key: key.clone(),
                    path,
                    node,
                })
            }
            Some(_) | None => Err(ItemFailure::vanished()),
        }
    }
}
