//! Access control list and extended attributes of an object that is taken for a file.

use datasync_endpoint::{EndpointError, ErrorKind, ExtendedMetadata};

use super::S3Source;
use super::handle::Item;
use crate::calls::Operation;

impl S3Source {
    /// By HEAD, of the version that the item names. A directory that no object stands for has neither.
    pub(super) async fn extended_of(&self, item: &Item) -> Result<ExtendedMetadata, EndpointError> {
        if item.etag.is_empty() {
            return Ok(ExtendedMetadata::default());
        }
        let operation = Operation::HeadObject;
        let facts = self.head(&item.key, Some(&item.etag)).await?;
        let facts = facts.ok_or_else(|| {
            let detail = "the object is gone";
            self.error(ErrorKind::Stale, operation, &item.key, detail)
        })?;
        match facts.extended() {
            Ok(extended) => Ok(extended.only(self.extended)),
            Err(error) => {
                let detail = format!("its user metadata cannot be understood: {error}");
                Err(self.error(ErrorKind::NotSupported, operation, &item.key, detail))
            }
        }
    }
}
