//! Source and destination side by side, in key order.

use datasync_endpoint::{EndpointError, EntryPath, ErrorKind, Key, ListedObject};
use datasync_model::NameEncoding;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::listing::Listed;
use crate::paged::Paged;
use crate::sorter::SortError;
use crate::waits::{Wait, Waits};
use crate::walk::{SourceEntry, WalkError, Walked};

/// One step of the merge.
#[derive(Debug)]
pub(crate) enum Step {
    /// An entry of the source, with the object of its key if there is one.
    Entry(SourceEntry, Option<ListedObject>),
    /// An object that no entry has the key of.
    Extra(ListedObject),
    /// A directory that could not be read to its end.
    Unread {
        directory: SourceEntry,
        error: Arc<EndpointError>,
    },
    /// An entry that cannot be handled, by its name alone, with the object of its key.
    Unknown {
        path: EntryPath,
        key: Key,
        error: Arc<EndpointError>,
    },
    /// Both sides are at their ends.
    End,
}

/// Why a merge cannot go on.
#[derive(Debug)]
pub(crate) enum MergeError {
    Source(WalkError),
    Destination(EndpointError),
    /// A directory of the destination cannot be sorted.
    Unsorted(SortError),
    /// A task ended without saying so: a defect of ours.
    Lost(&'static str),
}

/// Merges the two streams.
#[derive(Debug)]
pub(crate) struct Merge {
    walked: Paged<Walked>,
    listed: Option<Paged<Listed>>,
    next_walked: Option<Walked>,
    next_listed: Option<Listed>,
    waits: Arc<Waits>,
    names: NameEncoding,
}

impl Merge {
    /// A merge; without a listing the destination counts as empty.
    pub(crate) fn new(walked: Paged<Walked>, listed: Option<Paged<Listed>>) -> Self {
        Self {
            walked,
            listed,
            next_walked: None,
            next_listed: None,
            waits: Arc::new(Waits::new()),
            names: NameEncoding::default(),
        }
    }

    /// Treats names that are no keys like that.
    pub(crate) fn with_names(self, names: NameEncoding) -> Self {
        Self { names, ..self }
    }

    /// Counts among these what is waited for.
    pub(crate) fn counting(self, waits: Arc<Waits>) -> Self {
        Self { waits, ..self }
    }

    /// The next step. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Step, MergeError> {
        if self.next_walked.is_none() {
            let received = self.waits.during(Wait::Walk, self.walked.next()).await;
            self.next_walked = Some(received.ok_or(MergeError::Lost("walk"))?);
        }
        if self.next_listed.is_none() {
            let received = match &mut self.listed {
                None => Listed::End,
                Some(listed) => {
                    let received = self.waits.during(Wait::Listing, listed.next()).await;
                    received.ok_or(MergeError::Lost("listing"))?
                }
            };
            self.next_listed = Some(received);
        }
        match (self.next_walked.take(), self.next_listed.take()) {
            (Some(walked), Some(listed)) => self.step(walked, listed),
            _ => Err(MergeError::Lost("merge")),
        }
    }

    fn step(&mut self, walked: Walked, listed: Listed) -> Result<Step, MergeError> {
        let object = match listed {
            Listed::Broken(error) => return Err(MergeError::Destination(error)),
            Listed::Unsorted(error) => return Err(MergeError::Unsorted(error)),
            Listed::Object(object) => Some(object),
            Listed::End => None,
        };
        let order = match (&walked, &object) {
            (Walked::Broken(_), _) | (_, None) => Ordering::Less,
            (Walked::End, Some(_)) => Ordering::Greater,
            // Before anything below the directory, and after all that comes before it.
            (Walked::Unread { directory, .. }, Some(object)) if directory.key <= object.key => {
                Ordering::Less
            }
            (Walked::Unread { .. }, Some(_)) => Ordering::Greater,
            (
                Walked::Entry(SourceEntry { key, .. }) | Walked::Unknown { key, .. },
                Some(object),
            ) => key.cmp(&object.key),
        };
        let (walked, object) = match order {
            Ordering::Less => {
                self.next_listed = Some(object.map_or(Listed::End, Listed::Object));
                (Some(walked), None)
            }
            Ordering::Equal => (Some(walked), object),
            Ordering::Greater => {
                self.next_walked = Some(walked);
                (None, object)
            }
        };
        match (walked, object) {
            (Some(Walked::Entry(entry)), _) if self.is_refused(&entry.path) => {
                let error = Arc::new(name_refused(&entry.path));
                let SourceEntry { path, key, .. } = entry;
                Ok(Step::Unknown { path, key, error })
            }
            (Some(Walked::Entry(entry)), object) => Ok(Step::Entry(entry, object)),
            (Some(Walked::Unread { directory, error }), _) => Ok(Step::Unread { directory, error }),
            (Some(Walked::Unknown { path, key, error }), _) => {
                Ok(Step::Unknown { path, key, error })
            }
            (Some(Walked::Broken(error)), _) => Err(MergeError::Source(error)),
            (Some(Walked::End), _) => {
                self.next_walked = Some(Walked::End);
                Ok(Step::End)
            }
            (None, Some(object)) => Ok(Step::Extra(object)),
            (None, None) => Err(MergeError::Lost("merge")),
        }
    }
}

impl Merge {
    fn is_refused(&self, path: &EntryPath) -> bool {
        self.names == NameEncoding::Refuse && !path.is_its_own_key()
    }
}

/// Why an entry whose name is no key is not copied where that is asked for.
fn name_refused(path: &EntryPath) -> EndpointError {
    let detail = "its path is not UTF-8, or has characters of our escapes: rename it, or let such \
                  names be escaped (NameEncoding ESCAPE)";
    EndpointError::new(ErrorKind::InvalidName, "walk", path.to_string(), detail)
}

/// Keys that must not be deleted because the source could not be read where they belong.
///
/// Fed with keys in order; holds only those that may still matter: no more than a key has bytes.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    prefixes: std::collections::BTreeSet<Key>,
}

impl Shadow {
    /// Nothing below this directory is known.
    pub(crate) fn cast(&mut self, directory: Key) {
        self.pass(&directory);
        self.prefixes.insert(directory);
    }

    fn pass(&mut self, key: &Key) {
        self.prefixes
            .retain(|prefix| prefix > key || key.as_str().starts_with(prefix.as_str()));
    }

    /// Whether an object of this key may have a source after all.
    pub(crate) fn covers(&mut self, key: &Key) -> bool {
        self.pass(key);
        self.prefixes
            .iter()
            .any(|prefix| key.as_str().starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests;
