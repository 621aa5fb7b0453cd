//! EFS locations: kept and shown; a task with one is refused, since there is no data path yet.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arns::{self, is_arn, is_hex_id};
use super::super::call::Call;
use super::super::check::{self, TagInput, list_size, required, unlike};
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

fn arn_of(
    text: &str,
    member: &str,
    service: &str,
    prefix: &str,
    digits: std::ops::RangeInclusive<usize>,
) -> Result<(), ApiError> {
    let good = text.len() <= 128
        && is_arn(text, service, false, |resource| {
            is_hex_id(resource, prefix, digits.clone())
        });
    if good {
        Ok(())
    } else {
        let form = format!("^arn:(aws|…):{service}:[a-z\\-0-9]+:[0-9]{{12}}:{prefix}[0-9a-f]+$");
        Err(unlike(text, member, &form))
    }
}

fn encryption(word: Option<String>) -> Result<Option<String>, ApiError> {
    match word.as_deref() {
        None | Some("NONE" | "TLS1_2") => Ok(word),
        Some(other) => Err(ApiError::constraint(
            "InTransitEncryption",
            other,
            "must be one of [NONE, TLS1_2]",
        )),
    }
}

/// An access point ARN and a role ARN; the empty text means none.
fn access(input: &mut Input) -> Result<(Option<String>, Option<String>), ApiError> {
    let point = input.access_point_arn.take();
    if let Some(arn) = point.as_deref().filter(|arn| !arn.is_empty()) {
        let service = "elasticfilesystem";
        arn_of(arn, "AccessPointArn", service, "access-point/fsap-", 8..=40)?;
    }
    let role = input.file_system_access_role_arn.take();
    if let Some(arn) = role.clone().filter(|arn| !arn.is_empty()) {
        arns::role(Some(arn), "FileSystemAccessRoleArn")?;
    }
    Ok((point, role))
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

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut input: Input = call.decode()?;
    let (point, role) = access(&mut input)?;
    let file_system = required(input.efs_filesystem_arn, "EfsFilesystemArn")?;
    arn_of(
        &file_system,
        "EfsFilesystemArn",
        "elasticfilesystem",
        "file-system/fs-",
        8..=40,
    )?;
    let network = required(input.ec2_config, "Ec2Config")?;
    let subnet = required(network.subnet_arn, "Ec2Config.SubnetArn")?;
    arn_of(
        &subnet,
        "Ec2Config.SubnetArn",
        "ec2",
        "subnet/subnet-",
        1..=64,
    )?;
    let groups = required(network.security_group_arns, "Ec2Config.SecurityGroupArns")?;
    list_size(&groups, "Ec2Config.SecurityGroupArns", 1, 5)?;
    for group in &groups {
        let member = "Ec2Config.SecurityGroupArns.member";
        arn_of(group, member, "ec2", "security-group/sg-", 1..=64)?;
    }
    let details = EfsDetails {
        file_system_arn: file_system,
        subdirectory: paths::directory(input.subdirectory.as_deref().unwrap_or("/"))?,
        subnet_arn: subnet,
        security_group_arns: groups,
        access_point_arn: point.filter(|arn| !arn.is_empty()),
        role_arn: role.filter(|arn| !arn.is_empty()),
        in_transit_encryption: encryption(input.in_transit_encryption)?
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
    let mut input: Input = call.decode()?;
    let (point, role) = access(&mut input)?;
    let encryption = encryption(input.in_transit_encryption.take())?;
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
        if let Some(point) = point {
            efs.access_point_arn = Some(point).filter(|arn| !arn.is_empty());
        }
        if let Some(role) = role {
            efs.role_arn = Some(role).filter(|arn| !arn.is_empty());
        }
        if let Some(encryption) = encryption {
            efs.in_transit_encryption = encryption;
        }
        check_coupling(efs)?;
        Ok(true)
    })
    .await
}
