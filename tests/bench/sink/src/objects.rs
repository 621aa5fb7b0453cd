//! What the sink remembers. No input or output here.

use std::collections::{BTreeMap, BTreeSet};

use crc_fast::{CrcAlgorithm, checksum_combine};

/// Headers that come back on HEAD as they were given.
pub(crate) type Metadata = Vec<(String, String)>;

/// One object, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) size: u64,
    pub(crate) etag: String,
    /// CRC-64/NVME of the content, where the client gave one that was right.
    pub(crate) crc64: Option<u64>,
    pub(crate) metadata: Metadata,
}

/// One part of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) size: u64,
    pub(crate) crc64: Option<u64>,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    metadata: Metadata,
    parts: BTreeMap<u32, Part>,
}

/// An upload in a listing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OpenUpload {
    pub(crate) id: String,
    pub(crate) key: String,
}

/// Everything that was uploaded.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    buckets: BTreeSet<String>,
    objects: BTreeMap<(String, String), Object>,
    uploads: BTreeMap<String, Upload>,
    uploads_ever: u64,
}

impl Objects {
    pub(crate) fn create_bucket(&mut self, name: &str) {
        self.buckets.insert(name.to_owned());
    }

    pub(crate) fn has_bucket(&self, name: &str) -> bool {
        self.buckets.contains(name)
    }

    /// How many objects there are, and their bytes.
    pub(crate) fn totals(&self) -> (usize, u64) {
        let bytes = self.objects.values().map(|object| object.size).sum();
        (self.objects.len(), bytes)
    }

    pub(crate) fn put(&mut self, bucket: &str, key: &str, object: Object) {
        self.objects
            .insert((bucket.to_owned(), key.to_owned()), object);
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.objects.get(&(bucket.to_owned(), key.to_owned()))
    }

    pub(crate) fn delete(&mut self, bucket: &str, key: &str) {
        self.objects.remove(&(bucket.to_owned(), key.to_owned()));
    }

    /// Objects of a bucket whose keys are greater than `after` (or any) and begin with `prefix`.
    pub(crate) fn after<'a>(
        &'a self,
        bucket: &str,
        prefix: &'a str,
        after: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Object)> + use<'a> {
        let first = prefix.max(after);
        let skipped = after.to_owned();
        self.objects
            .range((bucket.to_owned(), first.to_owned())..)
            .take_while({
                let bucket = bucket.to_owned();
                move |((found, key), _)| *found == bucket && key.starts_with(prefix)
            })
            .map(|((_, key), object)| (key.as_str(), object))
            .filter(move |(key, _)| *key != skipped)
    }

    pub(crate) fn create_upload(&mut self, bucket: &str, key: &str, metadata: Metadata) -> String {
        self.uploads_ever += 1;
        let id = format!("upload-{}", self.uploads_ever);
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            metadata,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        id
    }

    /// `false` if there is no such upload.
    pub(crate) fn put_part(&mut self, id: &str, number: u32, part: Part) -> bool {
        let upload = self.uploads.get_mut(id);
        upload
            .map(|upload| upload.parts.insert(number, part))
            .is_some()
    }

    /// Makes an object of the parts; `None` if there is no such upload or it has no parts.
    pub(crate) fn complete(&mut self, id: &str) -> Option<Object> {
        if self.uploads.get(id)?.parts.is_empty() {
            return None;
        }
        let upload = self.uploads.remove(id)?;
        let count = upload.parts.len();
        let mut parts = upload.parts.into_values();
        let whole = parts.next()?;
        let whole = parts.fold(whole, |whole, part| Part {
            size: whole.size + part.size,
            crc64: whole.crc64.zip(part.crc64).map(|(head, tail)| {
                checksum_combine(CrcAlgorithm::Crc64Nvme, head, tail, part.size)
            }),
        });
        let object = Object {
            size: whole.size,
            etag: format!("\"{:032x}-{count}\"", u128::from(whole.size)),
            crc64: whole.crc64,
            metadata: upload.metadata,
        };
        self.put(&upload.bucket, &upload.key, object.clone());
        Some(object)
    }

    pub(crate) fn abort(&mut self, id: &str) {
        self.uploads.remove(id);
    }

    /// Open uploads of a bucket whose keys begin with `prefix`.
    pub(crate) fn open_uploads(&self, bucket: &str, prefix: &str) -> Vec<OpenUpload> {
        let of_bucket = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.bucket == bucket && upload.key.starts_with(prefix));
        of_bucket
            .map(|(id, upload)| OpenUpload {
                id: id.clone(),
                key: upload.key.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crc_fast::checksum;

    fn object(size: u64) -> Object {
        Object {
            size,
            etag: "\"e\"".into(),
            crc64: None,
            metadata: Vec::new(),
        }
    }

    #[test]
    fn listings_stay_in_their_bucket_and_prefix_and_go_on_after_a_key() {
        let mut objects = Objects::default();
        for key in ["a", "b/1", "b/2", "c"] {
            objects.put("one", key, object(1));
            objects.put("two", key, object(2));
        }
        let keys = |prefix: &'static str, after: &str| -> Vec<String> {
            let found = objects.after("one", prefix, after);
            found.map(|(key, _)| key.to_owned()).collect()
        };
        assert_eq!(keys("", ""), ["a", "b/1", "b/2", "c"]);
        assert_eq!(keys("b/", ""), ["b/1", "b/2"]);
        assert_eq!(keys("b/", "b/1"), ["b/2"]);
        assert_eq!(keys("", "b"), ["b/1", "b/2", "c"]);
        assert_eq!(objects.totals(), (8, 12));
    }

    #[test]
    fn an_upload_becomes_an_object_with_the_checksum_of_the_whole() {
        let mut objects = Objects::default();
        let id = objects.create_upload("one", "key", vec![("x-amz-meta-m".into(), "v".into())]);
        assert_eq!(objects.complete(&id), None);
        for (number, text) in [(2, "world"), (1, "hello ")] {
            let part = Part {
                size: text.len() as u64,
                crc64: Some(checksum(CrcAlgorithm::Crc64Nvme, text.as_bytes())),
            };
            assert!(objects.put_part(&id, number, part));
        }
        assert_eq!(objects.open_uploads("one", "k").len(), 1);
        let whole = objects.complete(&id).unwrap();
        assert_eq!(whole.size, 11);
        let crc64 = checksum(CrcAlgorithm::Crc64Nvme, b"hello world");
        assert_eq!(whole.crc64, Some(crc64));
        assert_eq!(objects.get("one", "key"), Some(&whole));
        assert!(objects.open_uploads("one", "").is_empty());
        assert!(!objects.put_part(
            &id,
            3,
            Part {
                size: 0,
                crc64: None
            }
        ));
    }
}
