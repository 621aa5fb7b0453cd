//! Where a copy reads from, and where it writes to.

use std::str::FromStr;

use datasync_model::{Location, LocationArn, NfsLocation, NfsVersion, S3Location, StorageClass};

use crate::store_flags::StoreAccess;
use crate::urls::{NfsUrl, S3Url, UrlError, unlike};

const FORM: &str =
    "s3://BUCKET[/PREFIX] or nfs://HOST[:PORT]/EXPORT/PATH (an IPv6 address in brackets)";

/// A source or a destination as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Nfs(NfsUrl),
    S3(S3Url),
}

impl FromStr for Origin {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.starts_with("nfs://") {
            return text.parse().map(Self::Nfs);
        }
        if text.starts_with("s3://") {
            return text.parse().map(Self::S3);
        }
        Err(unlike(text, FORM))
    }
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

    /// The location, in this store if it is a bucket, with this class of new objects.
    pub(super) fn location(
        self,
        arn: LocationArn,
        store: StoreAccess,
        storage_class: StorageClass,
    ) -> Location {
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
                storage_class,
            }),
        }
    }
}
