//! Where a copy reads from.

use std::str::FromStr;

use datasync_model::{Location, LocationArn, NfsLocation, NfsVersion, S3Location, StorageClass};

use crate::urls::{NfsUrl, S3Url, UrlError};

/// The source as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Nfs(NfsUrl),
    S3(S3Url),
}

impl FromStr for Origin {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.starts_with("s3://") {
            text.parse().map(Self::S3)
        } else {
            text.parse().map(Self::Nfs)
        }
    }
}

/// A store, as far as it is given.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreAccess {
    /// Base URL; `None`: AWS.
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    /// PEM.
    pub(super) certificate: Option<String>,
}

impl Origin {
    pub(super) fn is_store(&self) -> bool {
        matches!(self, Self::S3(_))
    }

    /// What tells it from every other source.
    pub(super) fn text(&self, store: &StoreAccess) -> String {
        match self {
            Self::Nfs(url) => url.to_string(),
            Self::S3(url) => format!("{url} {}", store.endpoint.as_deref().unwrap_or_default()),
        }
    }

    pub(super) fn location(self, arn: LocationArn, store: StoreAccess) -> Location {
        match self {
            Self::Nfs(url) => Location::Nfs(NfsLocation {
                arn,
                server_hostname: url.host,
                subdirectory: url.path,
                version: NfsVersion::Automatic,
            }),
            Self::S3(url) => Location::S3(S3Location {
                arn,
                bucket: url.bucket,
                prefix: url.prefix,
                region: store.region,
                endpoint: store.endpoint,
                server_certificate: store.certificate,
                storage_class: StorageClass::Standard,
            }),
        }
    }
}
