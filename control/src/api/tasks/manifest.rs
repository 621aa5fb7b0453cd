//! `ManifestConfig` of CreateTask, UpdateTask and StartTaskExecution (DataSync user guide,
//! "Transferring specific files or objects by using a manifest").

use datasync_model::{
    Excludes, Includes, Manifest, ManifestAction, ManifestFormat, Options, PreserveDeletedFiles,
    TaskExecutionArn,
};
use serde::Deserialize;

use super::super::Settings;
use super::super::arns;
use super::super::check::{self, required};
use super::super::error::ApiError;
use super::super::locations::bucket_arn;
use super::super::side_bucket::side_bucket;
use super::change::Change;
use crate::records::{ManifestConfig, ManifestObject, ManifestSource};
use crate::store::Transaction;

const SOURCE: &str = "ManifestConfig.Source.S3";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    action: Option<String>,
    format: Option<String>,
    source: Option<SourceInput>,
}

#[derive(Debug, Deserialize)]
struct SourceInput {
    #[serde(rename = "S3")]
    s3: Option<ObjectInput>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectInput {
    manifest_object_path: Option<String>,
    bucket_access_role_arn: Option<String>,
    #[serde(rename = "S3BucketArn")]
    s3_bucket_arn: Option<String>,
    manifest_object_version_id: Option<String>,
}

/// What the member asks for; an empty structure removes the manifest.
pub(super) fn wanted(input: Option<Input>) -> Result<Change<ManifestConfig>, ApiError> {
    match input {
        None => Ok(Change::AsItIs),
        Some(Input {
            action: None,
            format: None,
            source: None,
        }) => Ok(Change::Remove),
        Some(Input { source: None, .. }) => Err(ApiError::manifest_without_source()),
        Some(Input {
            action,
            format,
            source: Some(source),
        }) => {
            let action =
                action.map(|word| check::word(&word, "ManifestConfig.Action", ManifestAction::ALL));
            let format =
                format.map(|word| check::word(&word, "ManifestConfig.Format", ManifestFormat::ALL));
            Ok(Change::Set(ManifestConfig {
                action: action.transpose()?,
                format: format.transpose()?,
                source: ManifestSource {
                    s3: required(source.s3, SOURCE)?.check()?,
                },
            }))
        }
    }
}

impl ObjectInput {
    fn check(self) -> Result<ManifestObject, ApiError> {
        let path = format!("{SOURCE}.ManifestObjectPath");
        let key = required(self.manifest_object_path, &path)?;
        check::s3_subdirectory(&key, &path)?;
        if key.is_empty() || key.ends_with('/') {
            return Err(ApiError::constraint(
                &path,
                &key,
                "must be the key of an object: a CSV file that lists what to transfer",
            ));
        }
        let version = self.manifest_object_version_id;
        if let Some(version) = &version {
            object_version(version)?;
        }
        Ok(ManifestObject {
            manifest_object_path: key,
            bucket_access_role_arn: arns::role(
                self.bucket_access_role_arn,
                &format!("{SOURCE}.BucketAccessRoleArn"),
            )?,
            s3_bucket_arn: bucket_arn(self.s3_bucket_arn, &format!("{SOURCE}.S3BucketArn"))?,
            manifest_object_version_id: version,
        })
    }
}

fn object_version(version: &str) -> Result<(), ApiError> {
    let member = format!("{SOURCE}.ManifestObjectVersionId");
    if version.is_empty() {
        let constraint = "must have at least 1 character";
        return Err(ApiError::constraint(&member, version, constraint));
    }
    check::text(version, &member, 100, "^.+$", |c| !matches!(c, '\n' | '\r'))
}

/// Whether a manifest goes with the rest of a task, after all members were merged.
///
/// # Errors
/// Filters, or deletes, beside a manifest.
pub(in crate::api) fn check(
    manifest: Option<&ManifestConfig>,
    (includes, excludes): (&Includes, &Excludes),
    options: &Options,
) -> Result<(), ApiError> {
    if manifest.is_none() {
        return Ok(());
    }
    let filter = [
        ("Includes", includes.as_str()),
        ("Excludes", excludes.as_str()),
    ];
    if let Some((member, _)) = filter.iter().find(|(_, value)| !value.is_empty()) {
        return Err(ApiError::invalid(format!(
            "{member} cannot be used with a manifest: the manifest lists what is transferred. Clear \
             the filter with an empty list, or remove the manifest with an empty ManifestConfig."
        )));
    }
    if options.preserve_deleted_files == PreserveDeletedFiles::Remove {
        return Err(ApiError::invalid(
            "Invalid SyncOption value. Option: PreserveDeletedFiles, Value: REMOVE. A task with a \
             manifest deletes nothing: use PRESERVE, or remove the manifest with an empty \
             ManifestConfig.",
        ));
    }
    Ok(())
}

/// The manifest as an agent reads it.
pub(in crate::api) fn frozen(
    tx: &Transaction<'_>,
    settings: &Settings,
    execution: &TaskExecutionArn,
    config: Option<&ManifestConfig>,
) -> Result<Option<Manifest>, ApiError> {
    let Some(ManifestConfig { source, .. }) = config else {
        return Ok(None);
    };
    let object = &source.s3;
    let role_arn = &object.bucket_access_role_arn;
    let place = (object.s3_bucket_arn.as_str(), role_arn.as_str());
    Ok(Some(Manifest {
        store: side_bucket(tx, settings, (execution, "manifest"), place)?,
        role_arn: role_arn.clone(),
        key: object.manifest_object_path.clone(),
        version_id: object.manifest_object_version_id.clone(),
    }))
}
