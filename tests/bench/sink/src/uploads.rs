//! Multipart uploads that are open. No input or output here.

use std::collections::{BTreeMap, BTreeSet};

use crc_fast::{CrcAlgorithm, checksum_combine};

use crate::clock::Second;
use crate::metadata::Metadata;

/// One part of an upload, or a body in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) size: u64,
    pub(crate) crc64: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) metadata: Metadata,
    pub(crate) begun: Second,
    parts: BTreeMap<u32, (Part, Second)>,
}

impl Upload {
    /// Parts with numbers above `marker`, and when they came.
    pub(crate) fn parts_after(&self, marker: u32) -> impl Iterator<Item = (u32, Part, Second)> {
        let parts = self.parts.range(marker.saturating_add(1)..);
        parts.map(|(number, (part, modified))| (*number, *part, *modified))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: BTreeMap<String, Upload>,
    ever: u64,
}

impl Uploads {
    /// Answers the id.
    pub(crate) fn create(&mut self, bucket: &str, key: &str, metadata: Metadata) -> String {
        self.ever += 1;
        let id = format!("upload-{}", self.ever);
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            metadata,
            begun: Second::now(),
            parts: BTreeMap::new(),
        };
        self.open.insert(id.clone(), upload);
        id
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Upload> {
        self.open.get(id)
    }

    /// `false` if there is no such upload.
    pub(crate) fn put_part(&mut self, id: &str, number: u32, part: Part, now: Second) -> bool {
        let upload = self.open.get_mut(id);
        upload
            .map(|upload| upload.parts.insert(number, (part, now)))
            .is_some()
    }

    /// Closes an upload: it, all of its parts as one, and their number. `None` if there is no such
    /// upload or it has no parts.
    pub(crate) fn take_whole(&mut self, id: &str) -> Option<(Upload, Part, usize)> {
        let mut parts = self.open.get(id)?.parts.values().map(|(part, _)| *part);
        let first = parts.next()?;
        let whole = parts.fold(first, |whole, part| Part {
            size: whole.size + part.size,
            crc64: whole.crc64.zip(part.crc64).map(|(head, tail)| {
                checksum_combine(CrcAlgorithm::Crc64Nvme, head, tail, part.size)
            }),
        });
        let upload = self.open.remove(id)?;
        let count = upload.parts.len();
        Some((upload, whole, count))
    }

    pub(crate) fn abort(&mut self, id: &str) {
        self.open.remove(id);
    }

    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.open.keys().cloned().collect()
    }

    /// Ids and uploads of a bucket whose keys begin with `prefix`.
    pub(crate) fn of<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Upload)> {
        let open = self.open.iter().map(|(id, upload)| (id.as_str(), upload));
        open.filter(move |(_, upload)| upload.bucket == bucket && upload.key.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crc_fast::checksum;

    fn part(content: &[u8]) -> Part {
        Part {
            size: content.len() as u64,
            crc64: Some(checksum(CrcAlgorithm::Crc64Nvme, content)),
        }
    }

    #[test]
    fn parts_become_one_whatever_their_order() {
        let mut uploads = Uploads::default();
        let id = uploads.create("one", "key", Metadata::default());
        assert!(uploads.take_whole(&id).is_none());
        for (number, text) in [(2, "world"), (1, "hello ")] {
            assert!(uploads.put_part(&id, number, part(text.as_bytes()), Second::now()));
        }
        assert_eq!(uploads.of("one", "k").count(), 1);
        let (upload, whole, count) = uploads.take_whole(&id).unwrap();
        assert_eq!((upload.key.as_str(), count), ("key", 2));
        assert_eq!(whole, part(b"hello world"));
        assert_eq!(uploads.of("one", "").count(), 0);
        assert!(!uploads.put_part(&id, 3, part(b""), Second::now()));
    }

    #[test]
    fn parts_are_listed_after_a_marker() {
        let mut uploads = Uploads::default();
        let id = uploads.create("one", "key", Metadata::default());
        for number in [1, 3, 9] {
            uploads.put_part(&id, number, part(b"x"), Second::now());
        }
        let upload = uploads.get(&id).unwrap();
        let numbers: Vec<u32> = upload.parts_after(1).map(|(number, ..)| number).collect();
        assert_eq!(numbers, [3, 9]);
        assert_eq!(upload.parts_after(u32::MAX).count(), 0);
    }
}
