//! What both sides tell of an item that memory and the listing do not settle.

use datasync_endpoint::{Destination, EndpointError, Source};

use super::Mover;
use crate::extended::{self, Kept};
use crate::outcome::{ItemFailure, Outcome};
use crate::plan::{Action, Facts, Next};
use crate::walk::SourceEntry;

impl<S: Source, D: Destination> Mover<S, D> {
    /// Decides by what is still to be known.
    pub(super) async fn look(
        &self,
        next: Next,
        facts: &Facts<'_>,
        entry: &SourceEntry,
    ) -> Result<(Action, Kept), ItemFailure> {
        let content = match next {
            Next::Do(action) => return Ok((action, Kept::default())),
            Next::Ask => return self.ask(facts, entry).await,
            Next::Read(content) => content,
        };
        let read = self.verifier.source_content(entry).await;
        // What cannot be read or changes meanwhile is reported by the copy.
        let is_same = read.is_ok_and(|read| read == content);
        if is_same && facts.keeps_extended {
            return self.ask(facts, entry).await;
        }
        Ok((facts.after_reading(is_same), Kept::default()))
    }

    /// Decides by what the destination tells, and where more than POSIX metadata is kept by what the
    /// source does.
    pub(crate) async fn ask(
        &self,
        facts: &Facts<'_>,
        entry: &SourceEntry,
    ) -> Result<(Action, Kept), ItemFailure> {
        let found = self.stat(&entry.key).await;
        let found = found.map_err(|error| ItemFailure::of_destination(&error))?;
        let kept = match found {
            Some(_) => self.kept(entry).await,
            // The copy asks.
            None => Ok(Kept::default()),
        };
        let kept = kept.map_err(|error| ItemFailure::of_source(&error))?;
        let is = found.as_ref().and_then(|found| found.extended.as_deref());
        let is_extended = extended::agrees(
            kept.extended.as_deref(),
            is,
            self.source.extended_kinds(),
            self.destination.abilities(),
        );
        Ok((facts.after_asking(found, is_extended), kept))
    }

    /// What an entry's object is to have beyond POSIX metadata.
    pub(super) async fn kept(&self, entry: &SourceEntry) -> Result<Kept, EndpointError> {
        let sides = (&*self.source, &*self.destination);
        let wanted = self.wanted(&entry.node.attributes);
        extended::kept(sides, &self.attempts, entry, &wanted).await
    }
}

/// The end of an item whose object has less than it should, whatever was done: it is told of.
pub(super) fn without(
    (outcome, planned): (Outcome, Option<u64>),
    left_out: Option<ItemFailure>,
) -> (Outcome, Option<u64>) {
    match (outcome, left_out) {
        (Outcome::Transferred { .. } | Outcome::Unchanged { .. }, Some(failure)) => {
            (Outcome::Failed(failure), planned)
        }
        (outcome, _) => (outcome, planned),
    }
}
