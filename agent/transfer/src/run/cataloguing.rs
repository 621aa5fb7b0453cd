//! The catalog along the stages of an execution.

use datasync_endpoint::{Destination, Key, ListedObject, Source};

use super::Engine;
use super::scanning::Scan;
use crate::catalog::{Entry, Recall, Remembered, recall};
use crate::merge::Step;
use crate::outcome::Outcome;
use crate::plan::wanted;
use crate::walk::SourceEntry;

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) async fn read_catalog(&self, after: Option<Key>) -> Remembered {
        match &self.catalog {
            Some(catalog) => catalog.read(after).await,
            None => Remembered::nothing(),
        }
    }

    /// What is remembered of the entry of a step. Keys before it that the merge has not met are
    /// forgotten, but for those that this execution cannot see.
    pub(super) async fn remembered(&mut self, step: &Step, scan: &mut Scan) -> Option<Box<Entry>> {
        let catalog = self.catalog.as_mut()?;
        let limit = match step {
            Step::Entry(entry, _) => Some(&entry.key),
            Step::Extra(object) => Some(&object.key),
            Step::Unknown { key, .. } => Some(key),
            Step::Unread { directory, .. } => Some(&directory.key),
            Step::End => None,
        };
        while let Some(key) = scan.remembered.pass(limit).await {
            let path = key.path().unwrap_or_default();
            let is_seen = self.spec.extensions.manifest.is_none();
            if is_seen && self.scope.contains(&path.to_absolute()) && !scan.shadow.covers(&key) {
                catalog.note(&key, None).await;
            }
        }
        match step {
            Step::Entry(entry, _) => scan.remembered.take(&entry.key).await.map(Box::new),
            _ => None,
        }
    }

    /// Notes what the end of an item taught.
    pub(super) async fn remember(&mut self, key: &Key, outcome: &Outcome) {
        let learned = match outcome {
            Outcome::Unchanged { learned: None } | Outcome::Skipped(_) => return,
            Outcome::Unchanged { learned } | Outcome::Transferred { learned, .. } => {
                learned.as_deref()
            }
            Outcome::Failed(_) => None,
        };
        if let Some(catalog) = &mut self.catalog {
            catalog.note(key, learned).await;
        }
    }

    /// Whether an earlier verification compared source and store, and both are as they were then.
    pub(super) fn is_proven(
        &self,
        entry: &SourceEntry,
        listed: Option<&ListedObject>,
        known: Option<&Entry>,
    ) -> bool {
        let (Some(known), Some(listed)) = (known, listed) else {
            return false;
        };
        let options = &self.spec.options;
        let attributes = &entry.node.attributes;
        let keeps_link_times = self.destination.abilities().keeps_link_times;
        let wanted = wanted(attributes, options, keeps_link_times);
        let source = (attributes, self.source.names_versions());
        known.is_proven && recall(known, listed, source, &wanted, options) == Recall::Unchanged
    }

    /// Notes what looking at an object taught.
    pub(super) async fn learn(&mut self, key: &Key, learned: &Entry) {
        if let Some(catalog) = &mut self.catalog {
            catalog.note(key, Some(learned)).await;
        }
    }

    /// Lets the next execution ask about an object whatever the listing says.
    pub(super) async fn forget(&mut self, key: &Key) {
        if let Some(catalog) = &mut self.catalog {
            catalog.note(key, None).await;
        }
    }

    /// Makes what was noted part of the catalog.
    pub(super) async fn adopt_catalog(&mut self) {
        if let Some(catalog) = &mut self.catalog {
            // Minutes, for hundreds of millions of entries.
            let _work = self.progress.local_work();
            let memory_bytes = self.settings.memory_target_bytes / 8;
            catalog
                .adopt(usize::try_from(memory_bytes).unwrap_or(usize::MAX))
                .await;
        }
    }
}
