//! Locations that hold each other, between which nothing can be copied.

use datasync_model::Location;

use super::same_store::is_same_store;
use crate::api::error::ApiError;

/// Whether source and destination are apart.
///
/// # Errors
/// File systems and buckets where one location lies in the other: what is written would be read again, or deleted.
pub(in crate::api) fn check_apart(
    source: &Location,
    destination: &Location,
) -> Result<(), ApiError> {
    if source.overlaps(destination) {
        let name = |location: &Location| match location {
            Location::Nfs(nfs) => format!("{}:{}", nfs.server_hostname, nfs.subdirectory),
            Location::Efs(efs) => efs.uri(),
            Location::S3(s3) => format!("s3://{}/{}", s3.bucket, s3.prefix),
        };
        return Err(ApiError::invalid(format!(
            "The source {} and the destination {} overlap: one of them lies in the other. Name \
             another Subdirectory.",
            name(source),
            name(destination)
        )));
    }
    let (Location::S3(from), Location::S3(to)) = (source, destination) else {
        return Ok(());
    };
    let same_store = is_same_store(from.endpoint.as_deref(), to.endpoint.as_deref());
    let overlaps = from.prefix.starts_with(&to.prefix) || to.prefix.starts_with(&from.prefix);
    if same_store && from.bucket == to.bucket && overlaps {
        return Err(ApiError::invalid(format!(
            "The source s3://{}/{} and the destination s3://{}/{} overlap: one of them lies in the \
             other. Name another bucket or Subdirectory.",
            from.bucket, from.prefix, to.bucket, to.prefix
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use datasync_model::{S3Location, StorageClass};

    use super::*;

    fn bucket(bucket: &str, prefix: &str, endpoint: &str) -> Location {
        Location::S3(S3Location {
            arn: "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0"
                .parse()
                .unwrap(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region: None,
            endpoint: Some(endpoint.to_owned()),
            server_certificate: None,
            storage_class: StorageClass::Standard,
        })
    }

    #[test]
    fn one_location_may_not_lie_in_the_other() {
        let one = bucket("b", "a/", "http://s3.example");
        for (bucket_name, prefix, endpoint, apart) in [
            ("b", "a/", "http://S3.example/", false),
            ("b", "a/x/", "http://s3.example", false),
            ("b", "", "http://s3.example", false),
            ("b", "ab/", "http://s3.example", true),
            ("c", "a/", "http://s3.example", true),
            ("b", "a/", "http://other.example", true),
        ] {
            let other = bucket(bucket_name, prefix, endpoint);
            for (from, to) in [(&one, &other), (&other, &one)] {
                assert_eq!(
                    check_apart(from, to).is_ok(),
                    apart,
                    "{bucket_name} {prefix}"
                );
            }
        }
    }
}
