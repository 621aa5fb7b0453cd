//! A source whose files are objects of the destination's own store, which copies them by itself.

use bytes::Bytes;

use super::script::error;
use super::{MemoryDestination, MemorySource, Operation};
use crate::{
    Crc64, EndpointError, ErrorKind, Fingerprint, Handle, Key, ObjectHeader, ReadBack, Receipt,
    StoredObject,
};

const BUCKET: &str = "originals";

fn etag(version: Fingerprint) -> String {
    format!("{version:?}")
}

impl MemorySource {
    /// A file as an object.
    pub(super) fn object(&self, file: &Handle) -> Option<StoredObject> {
        let tree = self.tree();
        let inode = tree.by_handle(file)?;
        Some(StoredObject {
            endpoint: None,
            bucket: BUCKET.to_owned(),
            key: tree.path_of(file)?.to_string(),
            etag: etag(inode.attributes.fingerprint()),
            size: inode.attributes.size,
        })
    }

    /// The content of an object, if it is there in this version.
    fn content_of(&self, object: &StoredObject) -> Option<Bytes> {
        let tree = self.tree();
        let inode = tree.get(object.key.trim_start_matches('/'))?;
        let is_it = etag(inode.attributes.fingerprint()) == object.etag;
        is_it.then(|| inode.content.clone())
    }
}

impl MemoryDestination {
    pub(super) async fn copied(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        let Some(originals) = &self.originals else {
            return Ok(None);
        };
        let operation = Operation::Copy;
        let aftermath = self.script.enter(operation, key.as_str()).await?;
        let is_large = from.size > self.abilities.put_max;
        let upload = is_large.then(|| self.lock().create_copy(key, header, from.size));
        if upload.is_some() {
            // A failure leaves the upload open, as where the store cannot abort it either.
            self.script.enter(Operation::CopyPart, key.as_str()).await?;
        }
        let content = originals.content_of(from);
        let mut objects = self.lock();
        if let Some(upload) = &upload {
            objects.uploads.remove(&upload.0);
        }
        let content = content.ok_or_else(|| error(operation, key.as_str(), ErrorKind::Stale))?;
        let read = ReadBack {
            size: from.size,
            crc64: Crc64::of(&content),
        };
        let sums = (self.remembered(read.crc64), None);
        let etag = objects.store(operation, key, header, content, sums)?;
        drop(objects);
        let receipt = self.receipt(etag, None, &aftermath);
        aftermath.reply(Some((read, receipt)))
    }
}
