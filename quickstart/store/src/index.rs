//! The ordered index of one bucket and the pure listing over it.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::checksum::{Algorithm, ChecksumKind};

/// What a listing shows of an object, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) size: u64,
    pub(crate) modified: i64,
    pub(crate) etag: Box<str>,
    pub(crate) storage_class: Option<Box<str>>,
    pub(crate) checksum: Option<(Algorithm, ChecksumKind)>,
}

/// Keys in the order of their UTF-8 bytes, as S3 lists them.
pub(crate) type Index = BTreeMap<Box<str>, Entry>;

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Object(Box<str>, Entry),
    CommonPrefix(String),
}

impl Item {
    pub(crate) fn name(&self) -> &str {
        match self {
            Item::Object(key, _) => key,
            Item::CommonPrefix(prefix) => prefix,
        }
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    pub(crate) truncated: bool,
}

/// Lists up to `max` items that sort after `after`.
///
/// Keys that share everything up to and including the first `delimiter` after `prefix` are rolled
/// up into one item; such an item is not repeated when `after` is that item.
pub(crate) fn list(
    index: &Index,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
    max: usize,
) -> Page {
    let mut page = Page::default();
    let mut from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
        _ => Bound::Included(prefix.to_owned()),
    };
    if max == 0 {
        return page;
    }
    loop {
        let bounds = (from.as_ref().map(String::as_str), Bound::Unbounded);
        let mut jump = None;
        for (key, entry) in index.range::<str, _>(bounds) {
            let Some(rest) = key.strip_prefix(prefix) else {
                return page;
            };
            let rolled_up = common_prefix(prefix, rest, delimiter);
            let known = rolled_up.as_deref().is_some_and(|p| after == Some(p));
            if !known && page.items.len() == max {
                page.truncated = true;
                return page;
            }
            let Some(rolled_up) = rolled_up else {
                page.items.push(Item::Object(key.clone(), entry.clone()));
                continue;
            };
            jump = Some(rolled_up.clone());
            if !known {
                page.items.push(Item::CommonPrefix(rolled_up));
            }
            break;
        }
        match jump.and_then(|prefix| successor(&prefix)) {
            Some(next) => from = Bound::Included(next),
            None => return page,
        }
    }
}

fn common_prefix(prefix: &str, rest: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter.filter(|d| !d.is_empty())?;
    let at = rest.find(delimiter)?;
    Some(format!("{prefix}{}", &rest[..at + delimiter.len()]))
}

/// The smallest string that sorts after every string that starts with `prefix`.
fn successor(prefix: &str) -> Option<String> {
    let mut next = prefix.to_owned();
    while let Some(last) = next.pop() {
        // Code points sort as their UTF-8 bytes do; the surrogates are no code points.
        let following = match last {
            char::MAX => continue,
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        next.push(following?);
        return Some(next);
    }
    None
}

#[cfg(test)]
mod tests;
