//! Buckets beside a task's locations: of its manifest, of its reports.

use aws_lc_rs::digest;
use datasync_model::{LocationArn, S3Location, StorageClass, TaskExecutionArn, UniqueId};

use super::Settings;
use super::error::ApiError;
use crate::credentials::{address, lacking};
use crate::store::Transaction;

/// The bucket as an agent reaches it, without a prefix. Credentials for it travel under an ARN of
/// its own, made of the execution's and `purpose`.
///
/// # Errors
/// A role that control can have no credentials of.
pub(super) fn side_bucket(
    tx: &Transaction<'_>,
    settings: &Settings,
    (execution, purpose): (&TaskExecutionArn, &str),
    (bucket_arn, role_arn): (&str, &str),
) -> Result<S3Location, ApiError> {
    if let Some(reason) = lacking(&settings.roles, tx, role_arn)? {
        return Err(ApiError::invalid(format!(
            "The task cannot be started: the bucket of its {purpose} needs credentials of the role \
             {role_arn}, and {reason}."
        )));
    }
    let address = address(&settings.roles, tx, role_arn)?;
    let home = execution.task().home();
    let region = address.endpoint.as_ref().map(|_| home.region.to_string());
    let bucket = bucket_arn
        .split_once(":s3:::")
        .map_or(bucket_arn, |(_, name)| name);
    Ok(S3Location {
        arn: LocationArn::new(home, id(execution, purpose)),
        bucket: bucket.to_owned(),
        prefix: String::new(),
        region: address.region.or(region),
        endpoint: address.endpoint,
        server_certificate: None,
        storage_class: StorageClass::Standard,
    })
}

fn id(execution: &TaskExecutionArn, purpose: &str) -> UniqueId {
    let text = format!("{execution} {purpose}");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    UniqueId::from_random(first)
}
