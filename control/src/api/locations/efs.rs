//! EFS locations: kept and shown; a task with one is refused, since there is no data path yet.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arns;
use super::super::call::Call;
use super::super::check::{self, TagInput, required};
use super::super::error::ApiError;
use super::paths;
use crate::records::{EfsDetails, LocationDetails};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    location_arn: Option<String>,
    subdirectory: Option<String>,
    efs_filesystem_arn: Option<String>,
    ec2_config: Option<Ec2Input>,
    access_point_arn: Option<String>,
    file_system_access_role_arn: Option<String>,
    in_transit_encryption: Option<String>,
    tags: Option<Vec<TagInput>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ec2Input {
    subnet_arn: Option<String>,
    security_group_arns: Option<Vec<String>>,
}

/// Access points and roles work over TLS only.
fn check_coupling(efs: &EfsDetails) -> Result<(), ApiError> {
    let needs_tls = efs.access_point_arn.is_some() || efs.role_arn.is_some();
    if needs_tls && efs.in_transit_encryption != "TLS1_2" {
        return Err(ApiError::invalid(
            "InTransitEncryption must be TLS1_2 when AccessPointArn or FileSystemAccessRoleArn is \
             set.",
        ));
    }
    Ok(())
}

/// The empty text means none.
fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Input = call.decode()?;
    let network = required(input.ec2_config, "Ec2Config")?;
    let details = EfsDetails {
        file_system_arn: required(input.efs_filesystem_arn, "EfsFilesystemArn")?,
        subdirectory: paths::directory(input.subdirectory.as_deref().unwrap_or("/"))?,
        subnet_arn: required(network.subnet_arn, "Ec2Config.SubnetArn")?,
        security_group_arns: required(network.security_group_arns, "Ec2Config.SecurityGroupArns")?,
        access_point_arn: input.access_point_arn,
        role_arn: input.file_system_access_role_arn,
        in_transit_encryption: input
            .in_transit_encryption
            .unwrap_or_else(|| "NONE".to_owned()),
    };
    check_coupling(&details)?;
    let tags = check::tags(input.tags)?;
    let arn = super::new_arn(call)?;
    super::insert(call, arn, tags, LocationDetails::Efs(details)).await
}

pub(crate) async fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    super::show(call, |details| match details {
        LocationDetails::Efs(efs) => Some(json!({
            "Ec2Config": {
                "SubnetArn": efs.subnet_arn,
                "SecurityGroupArns": efs.security_group_arns,
            },
            "AccessPointArn": efs.access_point_arn,
            "FileSystemAccessRoleArn": efs.role_arn,
            "InTransitEncryption": efs.in_transit_encryption,
        })),
        _ => None,
    })
    .await
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Input = call.decode()?;
    let directory = input
        .subdirectory
        .as_deref()
        .map(paths::directory)
        .transpose()?;
    let arn = arns::ours(input.location_arn, "LocationArn", &call.settings().home)?;
    super::change(call, arn, move |details| {
        let LocationDetails::Efs(efs) = details else {
            return Ok(false);
        };
        if let Some(directory) = directory {
            efs.subdirectory = directory;
        }
        if let Some(point) = input.access_point_arn {
            efs.access_point_arn = filled(point);
        }
        if let Some(role) = input.file_system_access_role_arn {
            efs.role_arn = filled(role);
        }
        if let Some(encryption) = input.in_transit_encryption {
            efs.in_transit_encryption = encryption;
        }
        check_coupling(efs)?;
        Ok(true)
    })
    .await
}
