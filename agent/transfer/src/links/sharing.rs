//! What the names of one file come to: plain functions of values.

use datasync_endpoint::{SharedFile, is_same_entry};

use super::Name;

/// How many of a file's names lead to the file that `first` leads to at the destination, itself
/// included, as far as `others` are known; at least 1. As long as that file has no further names, its
/// metadata can be replaced in place: nobody else's change with it.
pub(crate) fn own_names<'a>(first: &Name, others: impl Iterator<Item = &'a Name>) -> u32 {
    let same_source = others.take_while(|other| other.file() == first.file());
    let count = same_source
        .filter(|other| is_one_file(first, other))
        .count();
    u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1)
}

/// Whether two names lead to one file at the destination.
pub(crate) fn is_one_file(one: &Name, other: &Name) -> bool {
    let (Some(one), Some(other)) = (&one.listed, &other.listed) else {
        return false;
    };
    SharedFile::of_etag(&one.etag).is_some() && is_same_entry(&one.etag, &other.etag)
}

/// Whether nothing is to be done about a name, since `first` stays as it is and both were met as names
/// of one file in one state, on both sides.
pub(crate) fn stays(name: &Name, first: &Name) -> bool {
    let version = |name: &Name| name.entry.node.attributes.fingerprint();
    name.is_current
        && first.is_current
        && name.file() == first.file()
        && version(name) == version(first)
        && is_one_file(name, first)
}

#[cfg(test)]
mod tests;
