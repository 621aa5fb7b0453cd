//! Every content that a file of the source ever had (I1).

use std::collections::{BTreeMap, BTreeSet};

use datasync_endpoint::memory::Tree;
use datasync_endpoint::{Crc64, EntryKind, Key, Timestamp};
use datasync_test_model::{Bucket, key_of};

type Version = (Timestamp, u64, u64);

/// What may be in the bucket.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By key: mtime, size and checksum of each version that the source had.
    versions: BTreeMap<Key, BTreeSet<Version>>,
    /// Checksums of what others wrote.
    foreign: BTreeSet<(Key, u64)>,
}

impl Ledger {
    /// Notes the tree as it is now.
    pub(crate) fn note(&mut self, tree: &Tree) {
        for (path, inode) in tree.entries() {
            let kind = inode.attributes.kind;
            let key = key_of(&path.to_absolute(), kind == EntryKind::Directory);
            let content: &[u8] = match kind {
                EntryKind::File | EntryKind::Symlink => &inode.content,
                _ => &[],
            };
            let version = (
                inode.attributes.mtime,
                content.len() as u64,
                Crc64::of(content).0,
            );
            self.versions.entry(key).or_default().insert(version);
        }
    }

    /// Notes what somebody else wrote.
    pub(crate) fn note_foreign(&mut self, bucket: &Bucket) {
        let foreign = bucket
            .iter()
            .filter(|(_, stored)| stored.etag.contains("foreign"));
        let contents = foreign.map(|(key, stored)| (key.clone(), Crc64::of(&stored.content).0));
        self.foreign.extend(contents);
    }

    /// Whether somebody else wrote this.
    pub(crate) fn is_foreign(&self, key: &Key, content: &[u8]) -> bool {
        self.foreign.contains(&(key.clone(), Crc64::of(content).0))
    }

    /// Whether the source's entry of this key ever had this content, at this time if one is known.
    pub(crate) fn knows(&self, key: &Key, mtime: Option<Timestamp>, content: &[u8]) -> bool {
        let (size, crc64) = (content.len() as u64, Crc64::of(content).0);
        self.versions.get(key).is_some_and(|versions| {
            let mut versions = versions.iter();
            versions.any(|(time, length, crc)| {
                *length == size && *crc == crc64 && mtime.is_none_or(|mtime| mtime == *time)
            })
        })
    }
}
