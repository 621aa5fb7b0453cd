//! Where a copy reads from, and where it writes to.

use std::collections::BTreeMap;
use std::str::FromStr;

use datasync_model::{Location, LocationArn, NfsLocation, NfsVersion, S3Location, StorageClass};

use super::request::parsed;
use crate::config::ca_bundle;
use crate::urls::{NfsUrl, S3Url, StoreUrl, UrlError, unlike};

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

/// A store, as far as it is given.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreAccess {
    /// Base URL; `None`: AWS.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    /// PEM.
    pub(crate) certificate: Option<String>,
}

impl StoreAccess {
    /// What the flags `--endpoint-url`, `--region` and `--ca-bundle` say, else the variables of the AWS
    /// tools.
    pub(crate) fn given(
        endpoint_url: &Option<String>,
        region: &Option<String>,
        bundle: &Option<String>,
        environment: &BTreeMap<String, String>,
        faults: &mut Vec<String>,
    ) -> Self {
        let endpoint = ("--endpoint-url", endpoint_url);
        let variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let endpoint = given(endpoint, &variables, environment)
            .and_then(|(origin, url)| parsed::<StoreUrl>(origin, url, faults));
        let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        let region = given(("--region", region), &variables, environment);
        let bundle = given(("--ca-bundle", bundle), &["AWS_CA_BUNDLE"], environment);
        let certificate = bundle.and_then(|(origin, file)| {
            let read = ca_bundle(file);
            read.map_err(|what| faults.push(format!("{origin}: {what}")))
                .ok()
        });
        Self {
            endpoint: endpoint.map(|url| url.to_string()),
            region: region.map(|(_, region)| region.to_owned()),
            certificate,
        }
    }
}

/// A flag or the first variable that is not empty, with the name of where it was found.
fn given<'a>(
    flag: (&'static str, &'a Option<String>),
    variables: &[&'static str],
    environment: &'a BTreeMap<String, String>,
) -> Option<(&'static str, &'a str)> {
    let by_flag = flag.1.as_deref().map(|value| (flag.0, value));
    by_flag.or_else(|| {
        variables.iter().find_map(|name| {
            let value = environment.get(*name).filter(|value| !value.is_empty())?;
            Some((*name, value.as_str()))
        })
    })
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
