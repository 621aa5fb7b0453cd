//! Where files have no data (RFC 7862 §15.11): what lies there need not be read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use datasync_endpoint::{Attributes, Fingerprint};

/// Extents that are remembered, over all files.
const KNOWN_MAX: usize = 64;

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// At most `length` bytes of a hole, and at most 1 MiB.
pub(super) fn zeros(length: u64) -> Bytes {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Bytes::from_static(&ZEROS[..length.min(ZEROS.len())])
}

/// A part of a file that is all data, or all hole, and what the file was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) range: Range<u64>,
    pub(super) is_hole: bool,
    pub(super) attributes: Attributes,
}

impl Extent {
    /// Of what the server says of the data at and behind `offset`: where it begins, if there is any, and
    /// where it ends, if it begins at `offset`.
    pub(super) fn at(
        offset: u64,
        data: Option<u64>,
        end: Option<u64>,
        attributes: Attributes,
    ) -> Self {
        let size = attributes.size.max(offset);
        let (range, is_hole) = match data {
            Some(begin) if begin <= offset => (offset..end.unwrap_or(size), false),
            Some(begin) => (offset..begin.min(size), true),
            None => (offset..size, true),
        };
        Self {
            range,
            is_hole,
            attributes,
        }
    }
}

/// What is known of the files that are read now.
#[derive(Debug, Default)]
pub(super) struct Holes {
    known: Mutex<VecDeque<(Bytes, Extent)>>,
    /// The server does not tell.
    is_lacking: AtomicBool,
}

impl Holes {
    fn known(&self) -> MutexGuard<'_, VecDeque<(Bytes, Extent)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_lacking(&self) -> bool {
        self.is_lacking.load(Ordering::Relaxed)
    }

    pub(super) fn lack(&self) {
        self.is_lacking.store(true, Ordering::Relaxed);
    }

    /// The extent that `offset` of a file lies in.
    pub(super) fn find(&self, file: &[u8], offset: u64) -> Option<Extent> {
        let known = self.known();
        let found = known
            .iter()
            .find(|(of, extent)| of == file && extent.range.contains(&offset));
        found.map(|(_, extent)| extent.clone())
    }

    /// In place of the one that was learned first, where there are too many.
    pub(super) fn note(&self, file: &[u8], extent: Extent) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.pop_front();
        }
        // A copy, so that a few bytes do not keep the reply.
        known.push_back((Bytes::copy_from_slice(file), extent));
    }

    /// What is known of another version of a file is known no more.
    pub(super) fn heed(&self, file: &[u8], now: Fingerprint) {
        let mut known = self.known();
        if !known.is_empty() {
            known.retain(|(of, extent)| of != file || extent.attributes.fingerprint() == now);
        }
    }
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::{EntryKind, Timestamp};

    use super::*;

    fn file(size: u64, seconds: i64) -> Attributes {
        let time = Timestamp {
            seconds,
            nanoseconds: 0,
        };
        Attributes {
            kind: EntryKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size,
            nlink: 1,
            file_id: 1,
            fsid: 1,
            mtime: time,
            ctime: time,
            atime: time,
            device: None,
        }
    }

    #[test]
    fn what_the_server_says_is_an_extent_within_the_file() {
        let extent = |offset, data, end| {
            let extent = Extent::at(offset, data, end, file(100, 1));
            (extent.range, extent.is_hole)
        };
        assert_eq!(extent(10, Some(10), Some(30)), (10..30, false));
        assert_eq!(extent(10, Some(10), None), (10..100, false));
        assert_eq!(extent(10, Some(40), None), (10..40, true));
        assert_eq!(extent(10, None, None), (10..100, true));
        assert_eq!(extent(10, Some(400), None), (10..100, true), "lies");
        assert_eq!(extent(200, None, None), (200..200, true), "no file there");
        assert_eq!(zeros(5).len(), 5);
        assert_eq!(zeros(u64::MAX).len(), 1 << 20);
    }

    #[test]
    fn extents_are_those_of_one_version_of_a_file_and_bounded() {
        let holes = Holes::default();
        let hole = |range: Range<u64>| Extent {
            range,
            is_hole: true,
            attributes: file(100, 1),
        };
        holes.note(b"1", hole(0..10));
        holes.note(b"2", hole(0..10));
        assert_eq!(holes.find(b"1", 9), Some(hole(0..10)));
        assert_eq!(holes.find(b"1", 10), None);
        holes.heed(b"1", file(100, 1).fingerprint());
        assert!(holes.find(b"1", 9).is_some());
        holes.heed(b"1", file(100, 2).fingerprint());
        assert_eq!(holes.find(b"1", 9), None);
        assert!(holes.find(b"2", 9).is_some());
        for begin in 0..2 * KNOWN_MAX as u64 {
            holes.note(b"1", hole(begin * 10..begin * 10 + 10));
        }
        assert_eq!(holes.known().len(), KNOWN_MAX);
        assert_eq!(holes.find(b"2", 9), None, "the first goes first");
    }
}
