//! Items that need no question to the store, and what a write teaches for the next time.

use datasync_endpoint::{Destination, ListedObject, PosixMetadata, Source};

use super::{Mover, Written};
use crate::catalog::{Entry, Recall, recall};
use crate::journal::JournalError;
use crate::outcome::{Outcome, Write};
use crate::plan::{self, Decision};
use crate::walk::SourceEntry;

impl<S: Source, D: Destination> Mover<S, D> {
    /// Whether memory and the listing say that nothing is to be done, nor anything new.
    pub(crate) fn is_as_remembered(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> bool {
        let (Some(listed), Some(known)) = (listed, known) else {
            return false;
        };
        let attributes = &entry.node.attributes;
        let wanted = PosixMetadata::kept(attributes, &self.options);
        plan::decide(attributes, Some(listed), &self.options) == Decision::Stat
            && known.is_confirmed(attributes, listed)
            && recall(known, listed, attributes, &wanted, &self.options) == Recall::Unchanged
    }

    /// Does what memory and the listing say; `None` if they say too little.
    pub(super) async fn by_memory(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> Result<Option<(Outcome, Option<u64>)>, JournalError> {
        let (Some(listed), Some(known)) = (listed, known) else {
            return Ok(None);
        };
        let attributes = &entry.node.attributes;
        let wanted = PosixMetadata::kept(attributes, &self.options);
        let same = match recall(known, listed, attributes, &wanted, &self.options) {
            Recall::Ask => return Ok(None),
            Recall::Unchanged => Some(known.confirmed(attributes, listed)),
            Recall::Content => None,
            // What cannot be read or changes meanwhile is reported by the copy.
            Recall::Suspect(crc64) => match self.verifier.source_content(entry).await {
                Ok(read) if read.crc64 == crc64 && read.size == known.size => {
                    Some(known.confirmed(attributes, listed))
                }
                Ok(_) | Err(_) => None,
            },
        };
        if let Some(now) = same {
            let learned = (now != *known).then(|| Box::new(now));
            return Ok(Some((Outcome::Unchanged { learned }, None)));
        }
        let copy = plan::Copy {
            only_if_absent: false,
            storage_class: listed.storage_class.clone(),
        };
        self.copy(entry, copy).await.map(Some)
    }

    /// The outcome of an entry that was written whole.
    pub(super) fn transferred(&self, entry: &SourceEntry, written: Written) -> Outcome {
        let learned = self.learned(entry, &written);
        let write = Write {
            attributes: entry.node.attributes,
            size: written.content.size,
            is_content: true,
            crc64: Some(written.content.crc64),
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
        let metadata = PosixMetadata::kept(attributes, &self.options);
        let receipt = written.receipt.as_ref()?;
        let content = (written.content.size, Some(written.content.crc64));
        Entry::written(attributes, &metadata, content, receipt, written.took).map(Box::new)
    }
}
