//! One item from the source to the destination, verified.

mod asking;
mod continued;
mod large;
mod linked;
mod metadata;
mod pace;
mod receipts;
mod recovered;
mod remembered;
mod resume;
mod small;
mod streamed;
mod within;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use datasync_endpoint::{
    Attributes, Destination, EndpointError, Fingerprint, Handle, ListedObject, Node, ObjectHeader,
    ObjectProperties, PosixMetadata, ReadBack, Receipt, Source,
};
use datasync_model::{ErrorCode, Failure, Options};

use crate::attempts::Attempts;
use crate::budget::Budget;
use crate::catalog::Entry;
use crate::extended::Kept;
use crate::journal::JournalError;
use crate::limiter::Limiter;
use crate::locate::locate;
use crate::outcome::{ItemFailure, Outcome};
use crate::plan::{self, Action, Content, Facts, Next, SINGLE_PUT_MAX, SkipReason};
use crate::progress::{InFlight, Progress};
use crate::read::{ReadError, Version};
use crate::uploads::Uploads;
use crate::verify::Verifier;
use crate::waits::{Wait, Waits};
use crate::walk::SourceEntry;

use asking::without;
pub(crate) use linked::{Leader, LinkedName};
pub(crate) use remembered::LookBack;
use remembered::learned_of_kept;
pub(crate) use resume::Resumed;

/// How often an item is tried whose file changes while it is read, or whose object somebody else
/// is at.
const TRIES: u32 = 3;

/// Everything that moving an item needs. Shared by all items of an execution.
pub(crate) struct Mover<S, D> {
    pub(crate) source: Arc<S>,
    pub(crate) destination: Arc<D>,
    pub(crate) options: Options,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) budget: Budget,
    /// What parts of large files may have of the budget; the rest is left to small files.
    pub(crate) parts: Budget,
    pub(crate) limiter: Limiter,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) verifier: Arc<Verifier<S, D>>,
    /// Whether it was said that the destination refused a hard link.
    pub(crate) has_told_of_links: AtomicBool,
    /// Wall clock in seconds since 1970, for the announcement of uploads.
    pub(crate) now_seconds: fn() -> i64,
}

/// Why one try of a copy ended.
enum TryError {
    /// The file changed; another try may find it stable.
    Changed,
    /// The handle means nothing any more.
    Stale,
    /// `only_if_absent`, and something is there that is not ours.
    Exists,
    /// What was at odds with the write is gone; another try may get through.
    Conflict(ItemFailure),
    Failed(ItemFailure),
    Journal(JournalError),
}

/// A confirmed write.
struct Written {
    content: ReadBack,
    /// `None` if its reply was lost and the store was asked what is there.
    receipt: Option<Receipt>,
    /// Until the reply came.
    took: Duration,
}

impl From<JournalError> for TryError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<ItemFailure> for TryError {
    fn from(failure: ItemFailure) -> Self {
        Self::Failed(failure)
    }
}

fn source_error(error: &EndpointError) -> TryError {
    if error.kind == datasync_endpoint::ErrorKind::Stale {
        TryError::Stale
    } else {
        TryError::Failed(ItemFailure::of_source(error))
    }
}

fn destination_error(error: &EndpointError) -> TryError {
    TryError::Failed(ItemFailure::of_destination(error))
}

// What happens to few items is on the heap: the future of every item would be as large as the largest.
impl<S: Source, D: Destination> Mover<S, D> {
    /// Does what one entry needs; gives the outcome and the bytes that were planned to move. `known`
    /// is what is remembered of it.
    ///
    /// # Errors
    /// Only if the journal failed: then nothing more may be begun.
    pub(crate) async fn handle(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> Result<(Outcome, Option<u64>), JournalError> {
        let facts = self.facts(entry, listed, known);
        self.carry_out(entry, facts).await
    }

    /// The same, of what is known of the entry.
    async fn carry_out(
        &self,
        entry: &SourceEntry,
        facts: Facts<'_>,
    ) -> Result<(Outcome, Option<u64>), JournalError> {
        let (action, kept) = match facts.next() {
            Next::Do(action) => (action, Kept::default()),
            next => match Box::pin(self.look(next, &facts, entry)).await {
                Ok(decided) => decided,
                Err(failure) => return Ok((Outcome::Failed(failure), None)),
            },
        };
        let done = match action {
            Action::Skip(reason) => (Outcome::Skipped(skip_failure(reason)), None),
            Action::Copy(copy) => self.copy(entry, copy).await?,
            Action::Metadata(found) => {
                Box::pin(self.renew(entry, &found, kept.extended.as_deref())).await?
            }
            Action::Keep(found) => {
                let learned = learned_of_kept(&facts, found.as_deref());
                (Outcome::Unchanged { learned }, None)
            }
        };
        Ok(without(done, kept.left_out))
    }

    /// What an entry's action is decided from.
    pub(crate) fn facts<'a>(
        &'a self,
        entry: &'a SourceEntry,
        listed: Option<&'a ListedObject>,
        known: Option<&'a Entry>,
    ) -> Facts<'a> {
        Facts {
            source: &entry.node.attributes,
            listed,
            known,
            options: &self.options,
            keeps_link_times: self.destination.abilities().keeps_link_times,
            keeps_extended: !self.source.extended_kinds().is_none(),
            names_versions: self.source.names_versions(),
            own_names: 1,
        }
    }

    /// The metadata that an entry's object is to have.
    fn wanted(&self, attributes: &Attributes) -> PosixMetadata {
        let keeps_link_times = self.destination.abilities().keeps_link_times;
        plan::wanted(attributes, &self.options, keeps_link_times)
    }

    fn waits(&self) -> &Arc<Waits> {
        self.attempts.waits()
    }

    async fn copy(
        &self,
        entry: &SourceEntry,
        copy: plan::Copy,
    ) -> Result<(Outcome, Option<u64>), JournalError> {
        let size = match plan::content_of(entry.node.attributes.kind, &self.options) {
            Some(Content::File) => entry.node.attributes.size,
            _ => 0,
        };
        let in_flight = self.progress.begin(size);
        let mut located = None;
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            let entry = located.as_ref().unwrap_or(entry);
            let error = match self.try_copy(entry, &copy, &in_flight).await {
                Ok((written, None)) => break self.transferred(entry, written),
                Ok((_, Some(failure))) => break Outcome::Failed(failure),
                Err(error) => error,
            };
            match error {
                TryError::Journal(error) => return Err(error),
                TryError::Failed(failure) => break Outcome::Failed(failure),
                TryError::Exists => {
                    break Outcome::Skipped(skip_failure(SkipReason::OverwriteProtected));
                }
                TryError::Changed | TryError::Stale | TryError::Conflict(_) if tries < TRIES => {}
                TryError::Conflict(failure) => break Outcome::Failed(failure),
                TryError::Changed => {
                    break Outcome::Failed(ItemFailure::new(
                        ErrorCode::SourceChanged,
                        format!("the file changed each of {TRIES} times it was read"),
                    ));
                }
                TryError::Stale => break Outcome::Failed(ItemFailure::vanished()),
            }
            in_flight.restart();
            let is_directory = entry.key.is_directory();
            let locating = locate(&*self.source, &entry.path, is_directory, &self.attempts);
            let locating = Box::pin(locating);
            match self.waits().during(Wait::Source, locating).await {
                Ok(Some(node)) if self.is_same_kind(&entry.node, &node) => {
                    located = Some(SourceEntry {
                        node,
                        ..entry.clone()
                    });
                }
                Ok(_) => break Outcome::Failed(ItemFailure::vanished()),
                Err(error) => break Outcome::Failed(ItemFailure::of_source(&error)),
            }
        };
        Ok((outcome, Some(size)))
    }

    fn is_same_kind(&self, before: &Node, now: &Node) -> bool {
        before.attributes.kind == now.attributes.kind
    }

    /// One try; with it comes why the object has less than it should, if it has.
    async fn try_copy(
        &self,
        entry: &SourceEntry,
        copy: &plan::Copy,
        in_flight: &InFlight,
    ) -> Result<(Written, Option<ItemFailure>), TryError> {
        if self.source.extended_kinds().is_none() {
            return Ok((self.try_write(entry, copy, in_flight).await?, None));
        }
        let kept = Box::pin(self.kept(entry)).await;
        let kept = kept.map_err(|error| source_error(&error))?;
        let copy = plan::Copy {
            extended: kept.extended,
            ..copy.clone()
        };
        let written = self.try_write(entry, &copy, in_flight).await?;
        Ok((written, kept.left_out))
    }

    async fn try_write(
        &self,
        entry: &SourceEntry,
        copy: &plan::Copy,
        in_flight: &InFlight,
    ) -> Result<Written, TryError> {
        let attributes = &entry.node.attributes;
        let limits = self.destination.abilities();
        if let Some(written) = Box::pin(self.copy_within(entry, copy)).await? {
            return Ok(written);
        }
        match plan::content_of(attributes.kind, &self.options) {
            Some(Content::File) if attributes.size > limits.object_max => Err(TryError::Failed(
                ItemFailure::too_large(attributes.size, limits.object_max),
            )),
            Some(Content::File) if attributes.size > SINGLE_PUT_MAX.min(limits.put_max) => {
                Box::pin(self.copy_large(entry, copy, in_flight)).await
            }
            Some(Content::File) => self.copy_small(entry, copy).await,
            Some(Content::LinkTarget) => Box::pin(self.copy_link(entry, copy)).await,
            Some(Content::Empty) | None => Box::pin(self.put_empty(entry, copy)).await,
        }
    }

    /// What an entry's object is written with; its properties are those of the version that is read.
    async fn header(
        &self,
        entry: &SourceEntry,
        attributes: &Attributes,
        copy: &plan::Copy,
    ) -> Result<ObjectHeader, TryError> {
        Ok(ObjectHeader {
            metadata: self.wanted(attributes),
            storage_class: copy.storage_class.clone(),
            only_if_absent: copy.only_if_absent,
            properties: self.properties(&entry.node.handle).await?,
            extended: copy.extended.clone(),
        })
    }

    async fn properties(&self, item: &Handle) -> Result<Option<Box<ObjectProperties>>, TryError> {
        if !self.source.has_properties() {
            return Ok(None);
        }
        let asked = self.attempts.run(|| self.source.properties(item));
        let told = self.waits().during(Wait::Source, Box::pin(asked)).await;
        Ok(told.map_err(|error| source_error(&error))?.map(Box::new))
    }

    fn version<'a>(&'a self, file: &'a Handle, fingerprint: Fingerprint) -> Version<'a, S> {
        Version {
            source: &*self.source,
            attempts: &self.attempts,
            file,
            fingerprint,
        }
    }

    fn read_error(&self, error: ReadError) -> TryError {
        match error {
            ReadError::Changed => TryError::Changed,
            ReadError::Source(error) => source_error(&error),
            ReadError::Short {
                announced,
                delivered,
            } => TryError::Failed(ItemFailure::short(announced, delivered)),
            ReadError::Long { announced } => TryError::Failed(ItemFailure::long(announced)),
        }
    }
}

/// Why an entry is left out, in words.
pub(crate) fn skip_failure(reason: SkipReason) -> Failure {
    match reason {
        SkipReason::UnsupportedKind(kind) => Failure::new(
            ErrorCode::NotSupported,
            format!("items of type {kind:?} are not copied"),
        ),
        SkipReason::OverwriteProtected => Failure::new(
            ErrorCode::NotSupported,
            "the destination has an object of this key and OverwriteMode is NEVER",
        ),
    }
}
