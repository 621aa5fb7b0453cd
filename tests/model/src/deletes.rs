//! `PreserveDeletedFiles=REMOVE` and its guards.

use std::collections::{BTreeMap, BTreeSet};

use datasync_endpoint::Key;
use datasync_model::PreserveDeletedFiles;

use crate::names::{key_of, path_of};
use crate::{Item, Situation};

/// The share of deletes is looked at above this many.
const SHARE_FLOOR: u64 = 1_000;

/// Objects to be deleted, with whether the store lets them go; and whether a guard holds them back.
pub(crate) fn deletes(situation: &Situation<'_>, items: &[Item]) -> (BTreeMap<Key, bool>, bool) {
    if situation.options.preserve_deleted_files != PreserveDeletedFiles::Remove {
        return (BTreeMap::new(), false);
    }
    let present: BTreeSet<&Key> = items.iter().map(|item| &item.key).collect();
    let trouble = situation.trouble;
    let mut candidates = BTreeMap::new();
    for key in situation
        .bucket
        .keys()
        .filter(|key| !present.contains(*key))
    {
        let Some(path) = path_of(key) else { continue };
        if path != b"/" && situation.scope.contains(&path) && !is_hidden(situation, &path) {
            candidates.insert(key.clone(), !trouble.undeletable.contains(key));
        }
    }
    let count = candidates.len() as u64;
    let matched = situation.bucket.keys().filter(|key| present.contains(*key));
    let all = count + matched.count() as u64;
    let is_empty = items.iter().all(|item| item.key.as_str().is_empty());
    let is_too_much = count > SHARE_FLOOR && count * 100 > all * situation.delete_share_max_percent;
    let withheld = count > 0 && (is_empty || !situation.same_root || is_too_much);
    (candidates, withheld)
}

/// Whether the source could not be read where the path belongs.
fn is_hidden(situation: &Situation<'_>, path: &[u8]) -> bool {
    let trouble = situation.trouble;
    let ends = path
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'/' && *at > 0);
    let mut above: Vec<&[u8]> = ends.map(|(at, _)| &path[..at]).collect();
    above.push(b"/");
    let is_directory = |path: &[u8]| {
        let found = situation.tree.get(path);
        found.is_some_and(|inode| inode.attributes.kind == datasync_endpoint::EntryKind::Directory)
    };
    above.iter().any(|directory| {
        let is_long = key_of(directory, true).as_str().len() > situation.key_max;
        trouble.unknown.contains(*directory)
            || (is_directory(directory) && (trouble.unlistable.contains(*directory) || is_long))
    }) || trouble.unknown.contains(path)
}
