//! Operations on buckets themselves.

use std::collections::btree_map;
use std::sync::{Arc, PoisonError};

use s3s::dto::{
    self, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput,
    DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Store, on_disk, timestamp};
use crate::bucket::{Bucket, disk_error};
use crate::disk::Disk;

impl Store {
    pub(crate) async fn make_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = request.input.bucket;
        if self.bucket(&name).is_ok() {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ));
        }
        let disk = Disk::new(self.config.root.join(&name), self.config.sync);
        let bucket = on_disk(move || Bucket::open(disk).map_err(disk_error)).await?;
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        // Of two requests at once the first wins; both opened the same directory.
        if let btree_map::Entry::Vacant(slot) = buckets.entry(name.clone()) {
            slot.insert(Arc::new(bucket));
        }
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(format!("/{name}")),
        }))
    }

    pub(crate) async fn remove_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let name = request.input.bucket;
        let bucket = self.bucket(&name)?;
        {
            let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
            if !bucket.is_empty() {
                return Err(s3_error!(
                    BucketNotEmpty,
                    "The bucket you tried to delete is not empty"
                ));
            }
            buckets.remove(&name);
        }
        on_disk(move || std::fs::remove_dir_all(bucket.disk.root()).map_err(disk_error)).await?;
        let status = http::StatusCode::NO_CONTENT;
        Ok(S3Response::with_status(
            DeleteBucketOutput::default(),
            status,
        ))
    }

    pub(crate) fn find_bucket(
        &self,
        request: &S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.config.region.clone()),
            ..Default::default()
        }))
    }

    pub(crate) fn locate_bucket(
        &self,
        request: &S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&request.input.bucket)?;
        // us-east-1 is reported as null.
        let region = Some(self.config.region.clone()).filter(|region| region != "us-east-1");
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: region.map(BucketLocationConstraint::from),
        }))
    }

    pub(crate) fn list_all_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Response<ListBucketsOutput> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let max = input
            .max_buckets
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(10_000);
        let after = input.continuation_token;
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let mut matching = buckets.iter().filter(|(name, _)| {
            name.starts_with(&prefix) && after.as_ref().is_none_or(|after| *name > after)
        });
        let page: Vec<_> = matching
            .by_ref()
            .take(max)
            .map(|(name, bucket)| dto::Bucket {
                name: Some(name.clone()),
                creation_date: Some(timestamp(bucket.created)),
                bucket_region: Some(self.config.region.clone()),
            })
            .collect();
        let last = page.last().and_then(|bucket| bucket.name.clone());
        S3Response::new(ListBucketsOutput {
            continuation_token: matching.next().and(last),
            buckets: Some(page),
            owner: Some(owner()),
            prefix: input.prefix,
        })
    }
}

/// There is one account.
pub(crate) fn owner() -> dto::Owner {
    dto::Owner {
        display_name: Some("quickstart".to_owned()),
        id: Some("75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a".to_owned()),
    }
}
