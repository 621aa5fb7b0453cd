//! What a remembered object makes needless to ask: a plain function of values.

use datasync_endpoint::{Attributes, Crc64, ListedObject, PosixMetadata, Timestamp};
use datasync_model::Options;

use super::Entry;
use crate::plan::{Content, Difference, compare, content_of};

/// What memory says of an entry that has an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recall {
    /// Both sides are as they were.
    Unchanged,
    /// The content differs.
    Content,
    /// By size and mtime the content is the same, but the source's inode was changed since: it is
    /// the same if it still has this checksum.
    Suspect(Crc64),
    /// Only the store can tell.
    Ask,
}

/// Decides without a request where that is possible. `wanted` is what the options keep of the source;
/// with it comes whether its fingerprint names a version.
pub(crate) fn recall(
    known: &Entry,
    listed: &ListedObject,
    (source, names_versions): (&Attributes, bool),
    wanted: &PosixMetadata,
    options: &Options,
) -> Recall {
    if !known.agrees_with(listed) {
        return Recall::Ask;
    }
    let is_same_source = known.source == source.fingerprint();
    // When the object was written says nothing of a version that is the one it was made of.
    let written = if is_same_source && names_versions {
        Timestamp {
            seconds: i64::MAX,
            nanoseconds: 0,
        }
    } else {
        listed.last_modified
    };
    let difference = compare(source, wanted, &known.as_state(), written);
    let is_empty = content_of(source.kind, options) == Some(Content::Empty);
    match (difference, known.crc64) {
        (Difference::Content, _) => Recall::Content,
        // The object's present state is the condition of new metadata.
        (Difference::Metadata, _) => Recall::Ask,
        (Difference::None, _) if is_same_source => Recall::Unchanged,
        // A directory has no content to differ; its size is the server's business.
        (Difference::None, _) if is_empty => Recall::Unchanged,
        (Difference::None, Some(crc64)) => Recall::Suspect(crc64),
        (Difference::None, None) => Recall::Ask,
    }
}

#[cfg(test)]
pub(in crate::catalog) mod tests;
