//! What is done about an entry of the merge: the one decision of a run and of a dry run.

use datasync_endpoint::{
    Attributes, ListedObject, ObjectState, PosixMetadata, ReadBack, SharedFile,
};
use datasync_model::{Mtime, Options};

use super::{Content, Copy, Decision, Difference, SkipReason, compare, content_of, decide, wanted};
use crate::catalog::{Entry, Recall, recall};

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Left out on purpose.
    Skip(SkipReason),
    /// Nothing: the object is as it should be, by what the destination told if it was asked.
    Keep(Option<Box<ObjectState>>),
    /// Content and metadata are written.
    Copy(Copy),
    /// The metadata of this object is replaced.
    Metadata(Box<ObjectState>),
}

/// What is to be known before it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing more.
    Do(Action),
    /// Whether the source's content is still this; then [`Facts::after_reading`].
    Read(ReadBack),
    /// The object's state; then [`Facts::after_asking`].
    Ask,
}

/// What is at hand of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) source: &'a Attributes,
    pub(crate) listed: Option<&'a ListedObject>,
    /// What is remembered of it.
    pub(crate) known: Option<&'a Entry>,
    pub(crate) options: &'a Options,
    /// Whether the destination's links keep their times.
    pub(crate) keeps_link_times: bool,
    /// Whether access control lists or extended attributes are kept.
    pub(crate) keeps_extended: bool,
    /// Whether the source's fingerprints name versions.
    pub(crate) names_versions: bool,
    /// So many names may lead to the file that the destination has: those of one file of the source.
    pub(crate) own_names: u32,
}

impl Facts<'_> {
    fn wanted(&self) -> PosixMetadata {
        wanted(self.source, self.options, self.keeps_link_times)
    }

    /// Decides without a request where that is possible.
    pub(crate) fn next(&self) -> Next {
        match decide(self.source, self.listed, self.options) {
            Decision::Skip(reason) => return Next::Do(Action::Skip(reason)),
            Decision::Copy(copy) => return Next::Do(Action::Copy(copy)),
            Decision::Stat => {}
        }
        let (Some(listed), Some(known)) = (self.listed, self.known) else {
            return Next::Ask;
        };
        if self.is_parted(&listed.etag) {
            return Next::Do(self.replace_listed());
        }
        let source = (self.source, self.names_versions);
        match recall(known, listed, source, &self.wanted(), self.options) {
            Recall::Ask => Next::Ask,
            // What is kept beyond POSIX metadata changes with the ctime alone.
            Recall::Unchanged
                if self.keeps_extended && known.source != self.source.fingerprint() =>
            {
                Next::Ask
            }
            Recall::Unchanged => Next::Do(Action::Keep(None)),
            Recall::Content => Next::Do(self.replace_listed()),
            Recall::Suspect(crc64) => Next::Read(ReadBack {
                size: known.size,
                crc64,
            }),
        }
    }

    /// Decides after the source was read.
    pub(crate) fn after_reading(&self, is_same: bool) -> Action {
        if is_same {
            Action::Keep(None)
        } else {
            self.replace_listed()
        }
    }

    /// Decides after the destination was asked; `None`: it has no such object. `is_extended`: what it has
    /// beyond POSIX metadata is as it should be.
    pub(crate) fn after_asking(&self, found: Option<ObjectState>, is_extended: bool) -> Action {
        let Some(found) = found else {
            return Action::Copy(Copy::default());
        };
        let last_modified = self.listed.map(|listed| listed.last_modified);
        let last_modified = last_modified.unwrap_or_default();
        let wanted = self.wanted();
        if self.is_replaced(&found) || self.is_parted(&found.etag) {
            return replace(found.storage_class);
        }
        let is_shared = self.is_shared(&found.etag);
        match compare(self.source, &wanted, &found, last_modified) {
            Difference::None if is_extended => Action::Keep(Some(Box::new(found))),
            Difference::None | Difference::Metadata if found.size > 0 && !is_shared => {
                Action::Metadata(Box::new(found))
            }
            Difference::None | Difference::Metadata | Difference::Content => {
                replace(found.storage_class)
            }
        }
    }

    /// Whether somebody wrote other content over an object's copy: without a kept mtime the copy does
    /// not tell whose it is.
    fn is_replaced(&self, found: &ObjectState) -> bool {
        let has_content = matches!(
            content_of(self.source.kind, self.options),
            Some(Content::File | Content::LinkTarget)
        );
        let (Some(known), Some(listed)) = (self.known, self.listed) else {
            return false;
        };
        let is_compared = self.names_versions && self.options.mtime == Mtime::None;
        has_content && is_compared && known.is_replaced(listed, found.crc64)
    }

    /// Whether names that are not the source file's lead to the destination's file: what is changed in
    /// place changes under them too.
    fn is_shared(&self, etag: &str) -> bool {
        SharedFile::of_etag(etag).is_some_and(|file| file.names > self.own_names)
    }

    /// Whether the source has another file now than the one that its copy was made of, which is still
    /// the file of other names: a link that was broken at the source.
    fn is_parted(&self, etag: &str) -> bool {
        let known = self.known.map(|known| known.source.file_id);
        let is_another = known.is_some_and(|file_id| file_id != self.source.file_id);
        is_another && self.is_shared(etag)
    }

    fn replace_listed(&self) -> Action {
        replace(self.listed.and_then(|listed| listed.storage_class.clone()))
    }
}

/// The object is written anew and keeps its class.
fn replace(storage_class: Option<String>) -> Action {
    Action::Copy(Copy {
        storage_class,
        ..Copy::default()
    })
}

#[cfg(test)]
mod tests;
