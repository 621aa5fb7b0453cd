//! NFS locations. They are not tried here: an agent does that when a task is made.

use datasync_model::NfsVersion;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arns;
use super::super::call::Call;
use super::super::check::{self, TagInput, required};
use super::super::error::ApiError;
use super::{OnPremInput, paths};
use crate::records::{LocationDetails, NfsDetails};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    location_arn: Option<String>,
    subdirectory: Option<String>,
    server_hostname: Option<String>,
    on_prem_config: Option<OnPremInput>,
    mount_options: Option<MountInput>,
    tags: Option<Vec<TagInput>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MountInput {
    version: Option<String>,
}

/// Members that are present, checked.
#[derive(Debug)]
struct Checked {
    subdirectory: Option<String>,
    server_hostname: Option<String>,
    agents: Option<Vec<datasync_model::AgentArn>>,
    version: Option<NfsVersion>,
}

fn checked(call: &Call<'_>, input: &mut Input) -> Result<Checked, ApiError> {
    let subdirectory = input.subdirectory.as_deref();
    let agents = match input.on_prem_config.take() {
        Some(config) => {
            let agents = required(config.agent_arns, "OnPremConfig.AgentArns")?;
            let home = &call.settings().home;
            Some(arns::agents(agents, "OnPremConfig.AgentArns", home)?)
        }
        None => None,
    };
    let version = input.mount_options.take().and_then(|mount| mount.version);
    Ok(Checked {
        subdirectory: subdirectory.map(paths::directory).transpose()?,
        server_hostname: input.server_hostname.take(),
        agents,
        version: version
            .map(|word| check::word(&word, "MountOptions.Version", NfsVersion::ALL))
            .transpose()?,
    })
}

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut input: Input = call.decode()?;
    let members = checked(call, &mut input)?;
    let details = NfsDetails {
        subdirectory: required(members.subdirectory, "Subdirectory")?,
        server_hostname: required(members.server_hostname, "ServerHostname")?,
        agents: required(members.agents, "OnPremConfig")?,
        version: members.version.unwrap_or(NfsVersion::Automatic),
    };
    let tags = check::tags(input.tags)?;
    let arn = super::new_arn(call)?;
    super::insert(call, arn, tags, LocationDetails::Nfs(details)).await
}

pub(crate) async fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    super::show(call, |details| match details {
        LocationDetails::Nfs(nfs) => Some(json!({
            "OnPremConfig": {"AgentArns": nfs.agents},
            "MountOptions": {"Version": nfs.version},
        })),
        _ => None,
    })
    .await
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut input: Input = call.decode()?;
    let members = checked(call, &mut input)?;
    let arn = arns::ours(input.location_arn, "LocationArn", &call.settings().home)?;
    super::change(call, arn, move |details| {
        let LocationDetails::Nfs(nfs) = details else {
            return Ok(false);
        };
        if let Some(subdirectory) = members.subdirectory {
            nfs.subdirectory = subdirectory;
        }
        if let Some(hostname) = members.server_hostname {
            nfs.server_hostname = hostname;
        }
        if let Some(agents) = members.agents {
            nfs.agents = agents;
        }
        if let Some(version) = members.version {
            nfs.version = version;
        }
        Ok(true)
    })
    .await
}
