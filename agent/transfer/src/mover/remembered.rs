//! Items that need no question to the store, and what a write teaches for the next time.

use datasync_endpoint::{Destination, ListedObject, ObjectState, Source};

use super::{Mover, Written};
use crate::catalog::Entry;
use crate::outcome::{Outcome, Write};
use crate::plan::{Action, Facts, Next};
use crate::walk::SourceEntry;

/// What memory and the listing say of an entry.
#[derive(Debug)]
pub(crate) enum LookBack {
    /// Nothing is to be done.
    AsItWas,
    /// Nothing is to be done, and the listing told more than was remembered.
    Learned(Box<Entry>),
    /// Something may be to be done.
    Unsure,
}

impl<S: Source, D: Destination> Mover<S, D> {
    /// Whether memory and the listing say that nothing is to be done.
    pub(crate) fn look_back(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> LookBack {
        let (Some(object), Some(remembered)) = (listed, known) else {
            return LookBack::Unsure;
        };
        if self.facts(entry, listed, known).next() != Next::Do(Action::Keep(None)) {
            return LookBack::Unsure;
        }
        let source = &entry.node.attributes;
        if remembered.is_confirmed(source, object) {
            LookBack::AsItWas
        } else {
            LookBack::Learned(Box::new(remembered.confirmed(source, object)))
        }
    }

    /// The outcome of an entry that was written whole.
    pub(super) fn transferred(&self, entry: &SourceEntry, written: Written) -> Outcome {
        let learned = self.learned(entry, &written);
        let write = Write {
            attributes: entry.node.attributes,
            size: written.content.size,
            is_content: true,
            crc64: Some(written.content.crc64),
            checksum: written
                .receipt
                .as_ref()
                .and_then(|receipt| receipt.checksum),
            version_id: written.receipt.and_then(|receipt| receipt.version_id),
        };
        Outcome::Transferred {
            bytes: written.content.size,
            learned,
            write: Box::new(write),
        }
    }

    /// What to remember of an entry that was written; nothing where the reply was lost.
    fn learned(&self, entry: &SourceEntry, written: &Written) -> Option<Box<Entry>> {
        let attributes = &entry.node.attributes;
        let metadata = self.wanted(attributes);
        let receipt = written.receipt.as_ref()?;
        let content = (written.content.size, Some(written.content.crc64));
        Entry::written(attributes, &metadata, content, receipt, written.took).map(Box::new)
    }
}

/// What a kept object teaches, if that is anything new. `found` is what the destination told.
pub(super) fn learned_of_kept(
    facts: &Facts<'_>,
    found: Option<&ObjectState>,
) -> Option<Box<Entry>> {
    let listed = facts.listed?;
    let now = match (found, facts.known) {
        (Some(found), _) => Entry::found(facts.source, listed, found),
        (None, Some(known)) => {
            Some(known.confirmed(facts.source, listed)).filter(|now| now != known)
        }
        (None, None) => None,
    };
    now.map(Box::new)
}
