//! Tags of objects.

use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
};
use s3s::{S3Request, S3Response, S3Result};

use super::attributes::checked_tags;
use super::{Store, no_versions, on_disk};

impl Store {
    pub(crate) async fn get_tags(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_deref())?;
        let bucket = self.bucket(&input.bucket)?;
        let record = on_disk(move || bucket.record(&input.key)).await?;
        let tags = record.tags.into_iter();
        let tag_set = tags
            .map(|(key, value)| Tag {
                key: Some(key),
                value: Some(value),
            })
            .collect();
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set,
            version_id: None,
        }))
    }

    pub(crate) async fn put_tags(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_deref())?;
        let bucket = self.bucket(&input.bucket)?;
        let pairs = input.tagging.tag_set.into_iter();
        let pairs = pairs.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
        let tags = checked_tags(pairs.collect())?;
        on_disk(move || bucket.update(&input.key, |record| record.tags = tags)).await?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }

    pub(crate) async fn delete_tags(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_deref())?;
        let bucket = self.bucket(&input.bucket)?;
        on_disk(move || bucket.update(&input.key, |record| record.tags.clear())).await?;
        let status = http::StatusCode::NO_CONTENT;
        Ok(S3Response::with_status(
            DeleteObjectTaggingOutput::default(),
            status,
        ))
    }
}
