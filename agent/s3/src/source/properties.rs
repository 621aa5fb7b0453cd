//! Properties and tags of an object, for its copy.

use datasync_endpoint::{EndpointError, ErrorKind, ObjectProperties};

use super::handle::Item;
use super::recent::Known;
use super::{S3Source, Shape};
use crate::calls::Operation;
use crate::properties::time;
use crate::requests::Wait;

/// Tags of one object; S3 takes 10 ("Categorizing your storage using tags").
const TAGS_MAX: usize = 100;

impl S3Source {
    pub(super) async fn properties_of(
        &self,
        item: &Item,
    ) -> Result<Option<ObjectProperties>, EndpointError> {
        let Shape::Objects { metadata, tags } = self.shape else {
            return Ok(None);
        };
        if item.etag.is_empty() || !(metadata || tags) {
            return Ok(None);
        }
        let mut properties = ObjectProperties::default();
        if metadata {
            properties = self.metadata(item).await?;
        }
        if tags {
            properties.tags = self.tags(&item.key).await?;
        }
        Ok(Some(properties))
    }

    /// System and user metadata, by HEAD where no answer told them just before.
    async fn metadata(&self, item: &Item) -> Result<ObjectProperties, EndpointError> {
        let operation = Operation::HeadObject;
        let known = match self.recent.take(item) {
            Some(known) => known,
            None => {
                let facts = self.head(&item.key, Some(&item.etag)).await?;
                let gone = || {
                    let detail = "the object is gone";
                    self.error(ErrorKind::Stale, operation, &item.key, detail)
                };
                Known::from(facts.ok_or_else(gone)?)
            }
        };
        let detail = match &known.properties.expires {
            _ if known.lost_metadata > 0 => format!(
                "{} entries of its user metadata cannot be read by this API: set ObjectMetadata to \
                 NONE, or give them values that headers can carry",
                known.lost_metadata
            ),
            Some(expires) if time(expires).is_none() => format!(
                "its Expires {expires:?} is no date and cannot be written: correct it, or set \
                 ObjectMetadata to NONE"
            ),
            _ => return Ok(known.properties),
        };
        Err(self.error(ErrorKind::NotSupported, operation, &item.key, detail))
    }

    async fn tags(&self, object_key: &str) -> Result<Vec<(String, String)>, EndpointError> {
        let operation = Operation::GetObjectTagging;
        let store = &self.store;
        let target = store.place.target(object_key);
        let request = store.client.get_object_tagging();
        let request = request.bucket(&store.place.bucket).key(object_key).send();
        let answer = store
            .requests
            .send(Wait::Answer, operation, &target, request);
        let output = match answer.await {
            Ok(output) => output,
            // The store has no tags, or the object has none.
            Err(error) if error.kind == ErrorKind::NotSupported => return Ok(Vec::new()),
            Err(error) => return Err(of_tags(error)),
        };
        if output.tag_set().len() > TAGS_MAX {
            let detail = format!("the store tells {} tags", output.tag_set().len());
            return Err(self.error(ErrorKind::Protocol, operation, object_key, detail));
        }
        let tags = output.tag_set.into_iter();
        Ok(tags.map(|tag| (tag.key, tag.value)).collect())
    }
}

fn of_tags(mut error: EndpointError) -> EndpointError {
    match error.kind {
        ErrorKind::NotFound => error.kind = ErrorKind::Stale,
        ErrorKind::PermissionDenied => {
            let advice = "reading the object's tags is not allowed (s3:GetObjectTagging): allow it, or \
                          set ObjectTags to NONE";
            error.detail = format!("{advice}: {}", error.detail);
        }
        _ => {}
    }
    error
}
