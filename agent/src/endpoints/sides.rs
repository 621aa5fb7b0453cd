//! Which locations can be which side of a transfer, and how people write them.

use datasync_model::{EfsLocation, ErrorCode, Failure, Location, NfsLocation, S3Location};

/// A location that can be read from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SourceLocation<'a> {
    Nfs(&'a NfsLocation),
    Efs(&'a EfsLocation),
    S3(&'a S3Location),
}

/// The location as a source.
pub(crate) fn as_source(location: &Location) -> SourceLocation<'_> {
    match location {
        Location::Nfs(nfs) => SourceLocation::Nfs(nfs),
        Location::Efs(efs) => SourceLocation::Efs(efs),
        Location::S3(s3) => SourceLocation::S3(s3),
    }
}

/// A location that can be written to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DestinationLocation<'a> {
    S3(&'a S3Location),
    Nfs(&'a NfsLocation),
    Efs(&'a EfsLocation),
}

/// The location as a destination: each can be one.
pub(crate) fn as_destination(location: &Location) -> DestinationLocation<'_> {
    match location {
        Location::S3(s3) => DestinationLocation::S3(s3),
        Location::Nfs(nfs) => DestinationLocation::Nfs(nfs),
        Location::Efs(efs) => DestinationLocation::Efs(efs),
    }
}

/// The failure of two locations that are the same directory or lie in each other.
pub(crate) fn one_in_the_other(source: &Location, destination: &Location) -> Failure {
    Failure::new(
        ErrorCode::InvalidConfiguration,
        format!(
            "{} and {} are the same directory, or one lies in the other: a copy would meet what it \
             has written",
            place(source),
            place(destination)
        ),
    )
}

/// Whether the location is used with keys that somebody hands out.
pub(crate) fn needs_keys(location: &Location) -> bool {
    match location {
        Location::S3(_) => true,
        Location::Efs(efs) => efs.signed,
        Location::Nfs(_) => false,
    }
}

/// A location as people write it.
pub(crate) fn place(location: &Location) -> String {
    match location {
        Location::Nfs(nfs) => format!("nfs://{}{}", nfs.server_hostname, nfs.subdirectory),
        Location::Efs(efs) => match &efs.access_point_id {
            Some(point) => format!("{} by access point {point}", efs.uri()),
            None => efs.uri(),
        },
        Location::S3(s3) => match &s3.endpoint {
            Some(endpoint) => format!("s3://{}/{} at {endpoint}", s3.bucket, s3.prefix),
            None => format!("s3://{}/{}", s3.bucket, s3.prefix),
        },
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::{NfsVersion, Partition};

    use super::*;
    use crate::endpoints::overlap;

    fn arn() -> datasync_model::LocationArn {
        let arn = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";
        arn.parse().unwrap()
    }

    #[test]
    fn file_systems_are_sources_and_destinations() {
        let nfs = |version| {
            Location::Nfs(NfsLocation {
                arn: arn(),
                server_hostname: "nas.test".to_owned(),
                subdirectory: "/export/data/".to_owned(),
                version,
            })
        };
        let efs = Location::Efs(EfsLocation {
            arn: arn(),
            file_system_id: "fs-0123abcd".to_owned(),
            partition: Partition::Aws,
            region: "us-east-1".to_owned(),
            subdirectory: "/a".to_owned(),
            access_point_id: Some("fsap-4567".to_owned()),
            encrypted: true,
            signed: false,
        });
        for location in [
            nfs(NfsVersion::Automatic),
            nfs(NfsVersion::Nfs3),
            nfs(NfsVersion::Nfs4_2),
            efs,
        ] {
            assert!(!needs_keys(&location));
            let is_s3 = matches!(as_destination(&location), DestinationLocation::S3(_));
            assert!(!is_s3, "{}", place(&location));
            assert!(overlap(&location, &location).is_some());
        }
    }
}
