//! DeleteObject and DeleteObjects.

use s3s::dto::{
    self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::{Store, no_versions, on_disk};
use crate::bucket::{Bucket, Precondition};

/// Keys in one DeleteObjects request.
const KEYS_MAX: usize = 1000;

impl Store {
    pub(crate) async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_deref())?;
        let bucket = self.bucket(&input.bucket)?;
        let precondition = Precondition {
            if_match: input.if_match,
            if_none_match: None,
        };
        on_disk(move || bucket.delete(&input.key, &precondition)).await?;
        let status = http::StatusCode::NO_CONTENT;
        Ok(S3Response::with_status(
            DeleteObjectOutput::default(),
            status,
        ))
    }

    pub(crate) async fn delete_many(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        if input.delete.objects.is_empty() || input.delete.objects.len() > KEYS_MAX {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our \
                 published schema"
            ));
        }
        let quiet = input.delete.quiet.unwrap_or_default();
        on_disk(move || {
            let mut output = DeleteObjectsOutput::default();
            for object in input.delete.objects {
                match delete_one(&bucket, &object) {
                    Ok(()) if quiet => {}
                    Ok(()) => output
                        .deleted
                        .get_or_insert_default()
                        .push(dto::DeletedObject {
                            key: Some(object.key),
                            ..Default::default()
                        }),
                    Err(error) => {
                        output
                            .errors
                            .get_or_insert_default()
                            .push(failure(object.key, &error));
                    }
                }
            }
            Ok(S3Response::new(output))
        })
        .await
    }
}

fn delete_one(bucket: &Bucket, object: &dto::ObjectIdentifier) -> S3Result<()> {
    no_versions(object.version_id.as_deref())?;
    let if_match = object.e_tag.clone().map(dto::ETagCondition::ETag);
    bucket.delete(
        &object.key,
        &Precondition {
            if_match,
            if_none_match: None,
        },
    )
}

fn failure(key: String, error: &S3Error) -> dto::Error {
    dto::Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key),
        message: error.message().map(str::to_owned),
        version_id: None,
    }
}
