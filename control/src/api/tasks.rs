//! Tasks.

mod change;
pub(super) mod input;
mod list;
pub(super) mod manifest;
pub(super) mod overlap;
pub(super) mod report;
mod retries;
mod same_store;
mod schedule;
mod users;

use datasync_model::{
    Excludes, ExecutionStatus, Includes, LocationArn, NfsVersion, Options, Pair, TaskArn, TaskMode,
    TaskStatus,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::agents::seconds;
use super::call::Call;
use super::check::{self, TagInput};
use super::error::ApiError;
use super::locations;
use super::{Settings, arns, executions, extensions};
use crate::history;
use crate::records::{Eligible, Location, LocationDetails, NOBODY, Readiness, Task};
use crate::store::{Transaction, Versioned};
use input::{Common, Filter};
pub(super) use list::list;
pub(crate) use retries::keep_retrying;
pub(super) use retries::retry_those_of;
pub(super) use users::of_locations;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    source_location_arn: Option<String>,
    destination_location_arn: Option<String>,
    task_mode: Option<String>,
    tags: Option<Vec<TagInput>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskInput {
    task_arn: Option<String>,
}

/// A task's row, or the text that clients match on.
pub(super) fn find(tx: &Transaction<'_>, arn: &TaskArn) -> Result<Versioned<Task>, ApiError> {
    tx.get::<Task>(arn.id())?
        .ok_or_else(|| ApiError::invalid(format!("Sync task {arn} is not found.")))
}

/// The kinds of both sides, as far as options depend on them.
fn pair(source: &Location, destination: &Location) -> Pair {
    let is_object = |location: &Location| {
        matches!(
            location.details,
            LocationDetails::S3(_) | LocationDetails::ObjectStorage(_)
        )
    };
    Pair {
        object_to_object: is_object(source) && is_object(destination),
        storage_class: match &destination.details {
            LocationDetails::S3(s3) => Some(s3.storage_class),
            _ => None,
        },
    }
}

/// Whether a task of this mode between these locations can have these options.
pub(super) fn check_options(
    options: &Options,
    mode: TaskMode,
    (source, destination): (&Location, &Location),
) -> Result<(), ApiError> {
    let pair = pair(source, destination);
    options.check(mode, pair).map_err(input::refused)?;
    if matches!(destination.details, LocationDetails::Efs(_)) {
        options.check_for_efs().map_err(input::refused)?;
    }
    Ok(())
}

/// Whether the locations can be used in this mode.
pub(super) fn check_mode(mode: TaskMode, source: &Location) -> Result<(), ApiError> {
    match &source.details {
        LocationDetails::Nfs(nfs)
            if nfs.version == NfsVersion::Nfs4_2 && mode == TaskMode::Basic =>
        {
            Err(ApiError::invalid(format!(
                "Location {} is mounted with NFS version {}, which needs task mode {}.",
                source.arn,
                nfs.version,
                TaskMode::Enhanced
            )))
        }
        _ => Ok(()),
    }
}

pub(super) fn eligible(
    source: &Location,
    destination: &Location,
    settings: &Settings,
) -> Result<Eligible, ApiError> {
    let eligible = Eligible::of(source, destination, &settings.default_agents);
    if eligible.is_nobody() {
        return Err(ApiError::invalid(NOBODY));
    }
    Ok(eligible)
}

pub(super) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: CreateInput = call.decode()?;
    let common = Common::of(call)?;
    let settings = call.api.settings.clone();
    let home = &settings.home;
    let source: LocationArn = arns::ours(input.source_location_arn, "SourceLocationArn", home)?;
    let destination: LocationArn = arns::ours(
        input.destination_location_arn,
        "DestinationLocationArn",
        home,
    )?;
    if source == destination {
        return Err(ApiError::invalid(
            "The source and the destination must be different locations.",
        ));
    }
    let mode = match &input.task_mode {
        Some(word) => check::word(word, "TaskMode", TaskMode::ALL)?,
        None => TaskMode::Basic,
    };
    let tags = check::tags(input.tags)?;
    let arn = TaskArn::new(home, call.unique_id()?);
    let now = call.now;
    call.commit(move |tx| {
        let from = locations::find(tx, &source)?.record;
        let to = locations::find(tx, &destination)?.record;
        overlap::check_apart(
            &executions::frozen(tx, &from, &settings)?,
            &executions::frozen(tx, &to, &settings)?,
        )?;
        check_mode(mode, &from)?;
        eligible(&from, &to, &settings)?;
        let pair = pair(&from, &to);
        let options = Options::defaults(mode, pair).merged(&common.options);
        check_options(&options, mode, (&from, &to))?;
        extensions::check_of_task(&tags, options.verify_mode)?;
        let (includes, excludes) = (common.filter.includes, common.filter.excludes);
        let (includes, excludes) = (includes.unwrap_or_default(), excludes.unwrap_or_default());
        let manifest = common.manifest.applied(None);
        manifest::check(manifest.as_ref(), (&includes, &excludes), &options)?;
        let task = Task {
            arn,
            name: common.name.flatten(),
            created_at_ms: now.as_millisecond(),
            source,
            destination,
            mode,
            options,
            includes,
            excludes,
            log_group_arn: common.log_group_arn,
            readiness: Readiness::Creating,
            unable: Vec::new(),
            last_execution: None,
            schedule: common.schedule.applied(None, now),
            manifest,
            report: common.report.applied(None),
            tags,
        };
        tx.insert(&task)?;
        Ok(json!({"TaskArn": task.arn}))
    })
    .await
}

fn target(call: &Call<'_>) -> Result<TaskArn, ApiError> {
    let input: TaskInput = call.decode()?;
    arns::ours(input.task_arn, "TaskArn", &call.settings().home)
}

pub(super) async fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?;
    let common = Common::of(call)?;
    let now = call.now;
    call.commit(move |tx| {
        let mut row = find(tx, &arn)?;
        let task = &mut row.record;
        task.schedule = common.schedule.applied(task.schedule.as_ref(), now);
        let source = locations::find(tx, &task.source)?.record;
        let destination = locations::find(tx, &task.destination)?.record;
        task.options = task.options.merged(&common.options);
        check_options(&task.options, task.mode, (&source, &destination))?;
        extensions::check_of_task(&task.tags, task.options.verify_mode)?;
        if let Some(name) = common.name {
            task.name = name;
        }
        if let Some(group) = common.log_group_arn {
            task.log_group_arn = Some(group);
        }
        let Filter { includes, excludes } = common.filter;
        task.includes = includes.unwrap_or_else(|| task.includes.clone());
        task.excludes = excludes.unwrap_or_else(|| task.excludes.clone());
        task.manifest = common.manifest.applied(task.manifest.take());
        task.report = common.report.applied(task.report.take());
        let filters = (&task.includes, &task.excludes);
        manifest::check(task.manifest.as_ref(), filters, &task.options)?;
        tx.update(&row)?;
        Ok(json!({}))
    })
    .await
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?;
    call.commit(move |tx| {
        let task = find(tx, &arn)?;
        if let Some(live) = tx.live_of_task(arn.id(), 1)?.into_iter().next() {
            return Err(ApiError::invalid(format!(
                "Sync task {arn} cannot be deleted while execution {} is {}: cancel it first.",
                live.record.arn(),
                live.record.status
            )));
        }
        history::forget_task(tx, &task.record)?;
        tx.delete::<Task>(arn.id(), task.version)?;
        Ok(json!({}))
    })
    .await
}

/// RUNNING while an execution runs, QUEUED while one only waits, else by the agents' trials. `live`
/// are the statuses of its executions that have not ended.
fn status(task: &Task, live: impl Iterator<Item = ExecutionStatus>) -> TaskStatus {
    let mut live = live.peekable();
    if live.peek().is_none() {
        task.readiness.status()
    } else if live.all(|status| status == ExecutionStatus::Queued) {
        TaskStatus::Queued
    } else {
        TaskStatus::Running
    }
}

pub(super) fn includes(filter: &Includes) -> Value {
    rules(filter.as_str())
}

pub(super) fn excludes(filter: &Excludes) -> Value {
    rules(filter.as_str())
}

fn rules(value: &str) -> Value {
    if value.is_empty() {
        json!([])
    } else {
        json!([{"FilterType": "SIMPLE_PATTERN", "Value": value}])
    }
}

pub(super) async fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?;
    call.read(move |tx| {
        let task = find(tx, &arn)?.record;
        let live = tx.live_of_task(arn.id(), 1)?;
        let status = status(&task, live.iter().map(|row| row.record.status));
        let failure = task.readiness.failure();
        let mut answer = json!({
            "TaskArn": task.arn,
            "Status": status,
            "Name": task.name,
            "CurrentTaskExecutionArn": task.last_execution,
            "SourceLocationArn": task.source,
            "DestinationLocationArn": task.destination,
            "CloudWatchLogGroupArn": task.log_group_arn,
            "SourceNetworkInterfaceArns": [],
            "DestinationNetworkInterfaceArns": [],
            "Options": task.options,
            "Includes": includes(&task.includes),
            "Excludes": excludes(&task.excludes),
            "ErrorCode": failure.map(|failure| failure.code),
            "ErrorDetail": failure.map(|failure| &failure.detail),
            "CreationTime": seconds(task.created_at_ms),
            "TaskMode": task.mode,
            "ManifestConfig": task.manifest,
            "TaskReportConfig": task.report,
        });
        if let Some((schedule, details)) = task.schedule.as_ref().map(schedule::shown) {
            answer["Schedule"] = schedule;
            answer["ScheduleDetails"] = details;
        }
        if let Some(members) = answer.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        Ok(answer)
    })
    .await
}
