//! What the sink remembers. No input or output here.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::clock::Second;
use crate::metadata::Metadata;
use crate::uploads::{Part, Uploads};

/// One object, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) size: u64,
    pub(crate) etag: Box<str>,
    /// CRC-64/NVME of the content, where the client gave one that was right.
    pub(crate) crc64: Option<u64>,
    pub(crate) modified: Second,
    pub(crate) metadata: Metadata,
}

type Bucket = BTreeMap<Box<str>, Object>;

/// Everything that was uploaded.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    buckets: BTreeMap<String, Bucket>,
    pub(crate) uploads: Uploads,
}

impl Objects {
    pub(crate) fn create_bucket(&mut self, name: &str) {
        self.buckets.entry(name.to_owned()).or_default();
    }

    pub(crate) fn has_bucket(&self, name: &str) -> bool {
        self.buckets.contains_key(name)
    }

    /// How many objects there are, and their bytes.
    pub(crate) fn totals(&self) -> (usize, u64) {
        let objects = || self.buckets.values().flat_map(BTreeMap::values);
        (objects().count(), objects().map(|object| object.size).sum())
    }

    /// `false` if there is no such bucket.
    pub(crate) fn put(&mut self, bucket: &str, key: &str, object: Object) -> bool {
        let bucket = self.buckets.get_mut(bucket);
        bucket
            .map(|bucket| bucket.insert(key.into(), object))
            .is_some()
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.buckets.get(bucket)?.get(key)
    }

    pub(crate) fn delete(&mut self, bucket: &str, key: &str) {
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.remove(key);
        }
    }

    /// Objects of a bucket whose keys are greater than `after` (or any) and begin with `prefix`.
    pub(crate) fn after<'a>(
        &'a self,
        bucket: &str,
        prefix: &'a str,
        after: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Object)> + use<'a> {
        let first = if after < prefix {
            Bound::Included(prefix)
        } else {
            Bound::Excluded(after)
        };
        let found = self.buckets.get(bucket);
        let found = found.map(|found| found.range::<str, _>((first, Bound::Unbounded)));
        found
            .into_iter()
            .flatten()
            .map(|(key, object)| (&**key, object))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Makes an object of an upload's parts; `None` if there is no such upload or it has no parts.
    pub(crate) fn complete(&mut self, id: &str, now: Second) -> Option<Object> {
        let (upload, whole, count) = self.uploads.take_whole(id)?;
        let object = Object {
            size: whole.size,
            etag: format!("\"{:032x}-{count}\"", u128::from(whole.size)).into(),
            crc64: whole.crc64,
            modified: now,
            metadata: upload.metadata,
        };
        self.put(&upload.bucket, &upload.key, object.clone())
            .then_some(object)
    }
}

/// An object in one piece: its ETag is no MD5 and is marked as none, so nobody compares it with one.
pub(crate) fn in_one_piece(received: Part, now: Second, metadata: Metadata) -> Object {
    Object {
        size: received.size,
        etag: format!("\"{:032x}-1\"", received.crc64.unwrap_or(received.size)).into(),
        crc64: received.crc64,
        modified: now,
        metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: u64) -> Object {
        let received = Part { size, crc64: None };
        in_one_piece(received, Second::now(), Metadata::default())
    }

    #[test]
    fn listings_stay_in_their_bucket_and_prefix_and_go_on_after_a_key() {
        let mut objects = Objects::default();
        objects.create_bucket("one");
        objects.create_bucket("two");
        for key in ["a", "b/1", "b/2", "c"] {
            assert!(objects.put("one", key, object(1)));
            assert!(objects.put("two", key, object(2)));
        }
        let keys = |prefix: &'static str, after: &str| -> Vec<String> {
            let found = objects.after("one", prefix, after);
            found.map(|(key, _)| key.to_owned()).collect()
        };
        assert_eq!(keys("", ""), ["a", "b/1", "b/2", "c"]);
        assert_eq!(keys("b/", ""), ["b/1", "b/2"]);
        assert_eq!(keys("b/", "b/1"), ["b/2"]);
        assert_eq!(keys("b/", "c"), [""; 0]);
        assert_eq!(keys("", "b"), ["b/1", "b/2", "c"]);
        assert_eq!(objects.totals(), (8, 12));
    }

    #[test]
    fn without_a_bucket_nothing_is_kept() {
        let mut objects = Objects::default();
        assert!(!objects.put("none", "key", object(1)));
        assert_eq!(objects.totals(), (0, 0));
    }

    #[test]
    fn an_upload_becomes_an_object_of_its_bucket() {
        let mut objects = Objects::default();
        objects.create_bucket("one");
        let metadata = Metadata::default();
        let id = objects.uploads.create("one", "key", metadata);
        assert_eq!(objects.complete(&id, Second::now()), None);
        let part = Part {
            size: 7,
            crc64: None,
        };
        assert!(objects.uploads.put_part(&id, 1, part, Second::now()));
        let whole = objects.complete(&id, Second::now()).unwrap();
        assert_eq!(objects.get("one", "key"), Some(&whole));
        assert_eq!(objects.complete(&id, Second::now()), None);
    }
}
