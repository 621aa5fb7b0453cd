//! `TaskReportConfig` of CreateTask, UpdateTask and StartTaskExecution (DataSync user guide,
//! "Monitoring your data transfers with task reports").

use datasync_model::{
    Location, ObjectVersionIds, PreserveDeletedFiles, ReportKind, ReportLevel, ReportOutputType,
    TaskExecutionArn, TaskReport,
};
use serde::Deserialize;

use super::super::Settings;
use super::super::arns;
use super::super::check::{self, required};
use super::super::error::ApiError;
use super::super::locations::{bucket_arn, prefix};
use super::super::side_bucket::side_bucket;
use super::change::Change;
use super::same_store::is_same_store;
use crate::records::{
    ReportBucket, ReportDestination, ReportOverride, ReportOverrides, TaskReportConfig,
};
use crate::store::Transaction;

const DESTINATION: &str = "TaskReportConfig.Destination.S3";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    destination: Option<DestinationInput>,
    output_type: Option<String>,
    report_level: Option<String>,
    object_version_ids: Option<String>,
    overrides: Option<OverridesInput>,
}

#[derive(Debug, Deserialize)]
struct DestinationInput {
    #[serde(rename = "S3")]
    s3: Option<BucketInput>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BucketInput {
    subdirectory: Option<String>,
    #[serde(rename = "S3BucketArn")]
    s3_bucket_arn: Option<String>,
    bucket_access_role_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OverridesInput {
    transferred: Option<OverrideInput>,
    verified: Option<OverrideInput>,
    deleted: Option<OverrideInput>,
    skipped: Option<OverrideInput>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OverrideInput {
    report_level: Option<String>,
}

/// What the member asks for; an empty structure removes the report.
pub(super) fn wanted(input: Option<Input>) -> Result<Change<TaskReportConfig>, ApiError> {
    match input {
        None => Ok(Change::AsItIs),
        Some(Input {
            destination: None,
            output_type: None,
            report_level: None,
            object_version_ids: None,
            overrides: None,
        }) => Ok(Change::Remove),
        Some(input) => input.check().map(Change::Set),
    }
}

impl Input {
    fn check(self) -> Result<TaskReportConfig, ApiError> {
        let destination = required(self.destination, "TaskReportConfig.Destination")?;
        let word = |word: Option<String>, member: &str| level(word, member);
        Ok(TaskReportConfig {
            destination: ReportDestination {
                s3: required(destination.s3, DESTINATION)?.check()?,
            },
            output_type: self
                .output_type
                .map(|word| {
                    let member = "TaskReportConfig.OutputType";
                    check::word(&word, member, ReportOutputType::ALL)
                })
                .transpose()?,
            report_level: word(self.report_level, "TaskReportConfig.ReportLevel")?,
            object_version_ids: self
                .object_version_ids
                .map(|word| {
                    let member = "TaskReportConfig.ObjectVersionIds";
                    check::word(&word, member, ObjectVersionIds::ALL)
                })
                .transpose()?,
            overrides: self.overrides.map(OverridesInput::check).transpose()?,
        })
    }
}

fn level(word: Option<String>, member: &str) -> Result<Option<ReportLevel>, ApiError> {
    word.map(|word| check::word(&word, member, ReportLevel::ALL))
        .transpose()
}

impl OverridesInput {
    fn check(self) -> Result<ReportOverrides, ApiError> {
        let one = |input: Option<OverrideInput>, name: &str| {
            let member = format!("TaskReportConfig.Overrides.{name}.ReportLevel");
            let check = |input: OverrideInput| {
                let report_level = level(input.report_level, &member)?;
                Ok::<_, ApiError>(ReportOverride { report_level })
            };
            input.map(check).transpose()
        };
        Ok(ReportOverrides {
            transferred: one(self.transferred, "Transferred")?,
            verified: one(self.verified, "Verified")?,
            deleted: one(self.deleted, "Deleted")?,
            skipped: one(self.skipped, "Skipped")?,
        })
    }
}

impl BucketInput {
    fn check(self) -> Result<ReportBucket, ApiError> {
        if let Some(subdirectory) = &self.subdirectory {
            prefix(subdirectory)?;
        }
        Ok(ReportBucket {
            subdirectory: self.subdirectory,
            s3_bucket_arn: bucket_arn(self.s3_bucket_arn, &format!("{DESTINATION}.S3BucketArn"))?,
            bucket_access_role_arn: arns::role(
                self.bucket_access_role_arn,
                &format!("{DESTINATION}.BucketAccessRoleArn"),
            )?,
        })
    }
}

/// The report as an agent writes it.
///
/// # Errors
/// A report that would be among the objects which the execution deletes.
pub(in crate::api) fn frozen(
    tx: &Transaction<'_>,
    settings: &Settings,
    execution: &TaskExecutionArn,
    config: Option<&TaskReportConfig>,
) -> Result<Option<TaskReport>, ApiError> {
    let Some(config) = config else {
        return Ok(None);
    };
    let bucket = &config.destination.s3;
    let role_arn = &bucket.bucket_access_role_arn;
    let place = (bucket.s3_bucket_arn.as_str(), role_arn.as_str());
    Ok(Some(TaskReport {
        store: side_bucket(tx, settings, (execution, "report"), place)?,
        role_arn: role_arn.clone(),
        prefix: prefix(bucket.subdirectory.as_deref().unwrap_or_default())?,
        output: config.output_type.unwrap_or(ReportOutputType::Standard),
        transferred: config.level(ReportKind::Transferred),
        verified: config.level(ReportKind::Verified),
        skipped: config.level(ReportKind::Skipped),
        deleted: config.level(ReportKind::Deleted),
        version_ids: config
            .object_version_ids
            .unwrap_or(ObjectVersionIds::Include),
    }))
}

/// Whether the next execution with `PreserveDeletedFiles=REMOVE` would leave the report where it is.
///
/// # Errors
/// A report below the prefix that such a task empties.
pub(in crate::api) fn check_place(
    report: Option<&TaskReport>,
    destination: &Location,
    deletes: PreserveDeletedFiles,
) -> Result<(), ApiError> {
    let (Some(report), Location::S3(to)) = (report, destination) else {
        return Ok(());
    };
    let same_store = is_same_store(report.store.endpoint.as_deref(), to.endpoint.as_deref());
    let same_bucket = same_store && report.store.bucket == to.bucket;
    let is_below = report.prefix.starts_with(&to.prefix);
    if deletes == PreserveDeletedFiles::Remove && same_bucket && is_below {
        return Err(ApiError::invalid(format!(
            "TaskReportConfig: the report would be written below s3://{}/{}, from where the task \
             deletes what the source does not have (PreserveDeletedFiles=REMOVE). Name another \
             bucket or Subdirectory.",
            to.bucket, to.prefix
        )));
    }
    Ok(())
}
