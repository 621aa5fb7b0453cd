//! The flags by which command lines name a store, and what they and the environment say of it.

use std::collections::BTreeMap;

use clap::Args;

use crate::config::ca_bundle;
use crate::copy::parsed;
use crate::urls::StoreUrl;

/// Where a store is and who asks it. No flag takes a secret.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct StoreFlags {
    /// S3-compatible store, http[s]://HOST[:PORT]; variables AWS_ENDPOINT_URL_S3,
    /// AWS_ENDPOINT_URL [default: AWS]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// Region of the bucket; variables AWS_REGION, AWS_DEFAULT_REGION [default: the profile's, or
    /// as the store says]
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Profile of the AWS tools' files, in place of any other credentials; variable AWS_PROFILE
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// PEM file of certificates to trust besides the system's; variable AWS_CA_BUNDLE
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_bundle: Option<String>,
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
    /// What the flags say, else the variables of the AWS tools.
    pub(crate) fn given(
        flags: &StoreFlags,
        environment: &BTreeMap<String, String>,
        faults: &mut Vec<String>,
    ) -> Self {
        let endpoint = ("--endpoint-url", &flags.endpoint_url);
        let variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let endpoint = given(endpoint, &variables, environment)
            .and_then(|(origin, url)| parsed::<StoreUrl>(origin, url, faults));
        let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        let region = given(("--region", &flags.region), &variables, environment);
        let bundle = ("--ca-bundle", &flags.ca_bundle);
        let bundle = given(bundle, &["AWS_CA_BUNDLE"], environment);
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
