//! Task executions.

mod able;
mod describe;
mod list;
mod queue;

use datasync_model::{
    Counters, ErrorCode, ExecutionEvent, ExecutionReport, ExecutionResult, ExecutionSpec,
    ExecutionStatus, Failure, Rate, Refused, TaskArn, TaskExecutionArn, TaskStatus, Telemetry,
    Tenure,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::check::{self, TagInput};
use super::error::ApiError;
use super::extensions::extensions;
use super::tasks::input::Common;
use super::{Settings, arns, locations, tasks};
use crate::credentials::address;
use crate::records::{DeletedTask, Execution, Location, StoreAddress, Tags, Task};
use crate::store::{Transaction, Versioned};
pub(super) use describe::describe;
pub(super) use list::list;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartInput {
    task_arn: Option<String>,
    tags: Option<Vec<TagInput>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecutionInput {
    task_execution_arn: Option<String>,
}

/// An execution's row.
pub(super) fn find(
    tx: &Transaction<'_>,
    arn: &TaskExecutionArn,
) -> Result<Versioned<Execution>, ApiError> {
    let is_deleted = tx.get::<DeletedTask>(arn.task().id())?.is_some();
    tx.get::<Execution>(arn.id())?
        .filter(|row| row.record.arn() == arn && !is_deleted)
        .ok_or_else(|| ApiError::invalid(format!("Task execution {arn} is not found.")))
}

pub(super) async fn start(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: StartInput = call.decode()?;
    let settings = call.api.settings.clone();
    let task: TaskArn = arns::ours(input.task_arn, "TaskArn", &settings.home)?;
    let start = Start {
        arn: TaskExecutionArn::new(&task, call.unique_id()?),
        common: Common::of(call)?,
        tags: check::tags(input.tags)?,
        now_ms: call.now_ms(),
        scheduled_for_ms: None,
    };
    call.commit(move |tx| {
        let arn = start.commit(tx, &settings)?;
        Ok(json!({"TaskExecutionArn": arn}))
    })
    .await
}

/// Makes the execution `arn` of a task as it stands, for the start that its schedule planned.
///
/// # Errors
/// As StartTaskExecution; nothing is changed then.
pub(crate) fn start_scheduled(
    tx: &Transaction<'_>,
    settings: &Settings,
    arn: &TaskExecutionArn,
    (planned_ms, now_ms): (i64, i64),
) -> Result<(), ApiError> {
    let start = Start {
        arn: arn.clone(),
        common: Common::default(),
        tags: Tags::new(),
        now_ms,
        scheduled_for_ms: Some(planned_ms),
    };
    start.commit(tx, settings).map(drop)
}

/// A checked call of StartTaskExecution.
struct Start {
    arn: TaskExecutionArn,
    common: Common,
    tags: Tags,
    now_ms: i64,
    scheduled_for_ms: Option<i64>,
}

impl Start {
    fn commit(
        self,
        tx: &Transaction<'_>,
        settings: &Settings,
    ) -> Result<TaskExecutionArn, ApiError> {
        let mut task = tasks::find(tx, self.arn.task())?;
        check_ready(&task.record)?;
        let source = locations::find(tx, &task.record.source)?.record;
        let destination = locations::find(tx, &task.record.destination)?.record;
        let eligible = tasks::eligible(&source, &destination, settings)?;
        let eligible = eligible.with_last(&task.record.unable);
        let (mode, filter) = (task.record.mode, self.common.filter);
        tasks::check_mode(mode, &source)?;
        let options = task.record.options.merged(&self.common.options);
        tasks::check_options(&options, mode, (&source, &destination))?;
        let verify_mode = options.verify_mode;
        let mut extensions = extensions(&task.record.tags, &self.tags, verify_mode)?;
        let manifest = self.common.manifest.applied(task.record.manifest.clone());
        extensions.manifest = tasks::manifest::frozen(tx, settings, &self.arn, manifest.as_ref())?;
        let report = self.common.report.applied(task.record.report.clone());
        extensions.report = tasks::report::frozen(tx, settings, &self.arn, report.as_ref())?;
        let spec = ExecutionSpec {
            execution: self.arn.clone(),
            task_mode: mode,
            source: frozen(tx, &source, settings)?,
            destination: frozen(tx, &destination, settings)?,
            includes: filter
                .includes
                .unwrap_or_else(|| task.record.includes.clone()),
            excludes: filter
                .excludes
                .unwrap_or_else(|| task.record.excludes.clone()),
            options,
            extensions,
        };
        tasks::overlap::check_apart(&spec.source, &spec.destination)?;
        let deletes = spec.options.preserve_deleted_files;
        let written = spec.extensions.report.as_ref();
        tasks::report::check_place(written, &spec.destination, deletes)?;
        let filters = (&spec.includes, &spec.excludes);
        tasks::manifest::check(manifest.as_ref(), filters, &spec.options)?;
        able::check_able(tx, &eligible, &spec.needs())?;
        queue::check(tx, &spec, (manifest.as_ref(), &eligible), settings)?;
        task.record.last_execution = Some(self.arn.clone());
        tx.update(&task)?;
        tx.insert(&Execution {
            rate: Rate::of(&spec),
            spec,
            status: ExecutionStatus::Queued,
            agent: None,
            tenure: Tenure::default(),
            earlier_agents: Vec::new(),
            eligible,
            requested_at_ms: self.now_ms,
            scheduled_for_ms: self.scheduled_for_ms,
            launched_at_ms: None,
            ended_at_ms: None,
            report: None,
            manifest,
            report_config: report,
            log_group_arn: task.record.log_group_arn,
            tags: self.tags,
        })?;
        Ok(self.arn)
    }
}

fn check_ready(task: &Task) -> Result<(), ApiError> {
    match (task.readiness.status(), task.readiness.failure()) {
        (TaskStatus::Unavailable, Some(failure)) => Err(ApiError::invalid(format!(
            "Sync task {} is UNAVAILABLE and cannot be started: {failure}. It is tried again by \
             itself.",
            task.arn
        ))),
        (TaskStatus::Creating, _) => Err(ApiError::invalid(format!(
            "Sync task {} is still CREATING: its agent has not tried the locations yet. Start it \
             when DescribeTask says AVAILABLE.",
            task.arn
        ))),
        _ => Ok(()),
    }
}

/// The location as an agent is told of it.
pub(super) fn frozen(
    tx: &Transaction<'_>,
    location: &Location,
    settings: &Settings,
) -> Result<datasync_model::Location, ApiError> {
    let store = match location.role() {
        Some(role) => address(&settings.roles, tx, role)?,
        None => StoreAddress::default(),
    };
    Ok(location.to_model(&store, settings.home.region.as_str()))
}

fn target(call: &Call<'_>) -> Result<TaskExecutionArn, ApiError> {
    let input: ExecutionInput = call.decode()?;
    arns::ours(
        input.task_execution_arn,
        "TaskExecutionArn",
        &call.settings().home,
    )
}

pub(super) async fn cancel(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?;
    let now_ms = call.now_ms();
    call.commit(move |tx| {
        let mut row = find(tx, &arn)?;
        let was = row.record.status;
        match was.apply(ExecutionEvent::Cancel) {
            Ok(status) => row.record.status = status,
            Err(Refused::AlreadyThere) => return Ok(json!({})),
            Err(Refused::NotAllowed) => {
                return Err(ApiError::invalid(format!(
                    "Sync task cannot be cancelled in its current status: {was}"
                )));
            }
        }
        if was == ExecutionStatus::Queued {
            end_unlaunched(&mut row.record, now_ms);
        }
        tx.update(&row)?;
        Ok(json!({}))
    })
    .await
}

/// No agent knows of the execution, so nobody else would end it.
fn end_unlaunched(execution: &mut Execution, now_ms: i64) {
    if let Ok(status) = execution.status.apply(ExecutionEvent::Fail) {
        execution.status = status;
        execution.ended_at_ms = Some(now_ms);
        execution.report = Some(ExecutionReport {
            execution: execution.arn().clone(),
            status,
            counters: Counters::default(),
            result: ExecutionResult {
                failure: Some(Failure::new(
                    ErrorCode::Cancelled,
                    "The execution was cancelled while it was queued.",
                )),
                ..ExecutionResult::default()
            },
            telemetry: Telemetry::default(),
        });
    }
}

pub(super) async fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?;
    let options = Common::of(call)?.options;
    let rate = match (options.present().as_slice(), options.bytes_per_second) {
        (["BytesPerSecond"], Some(rate)) => rate,
        ([], _) => return Err(ApiError::missing("Options.BytesPerSecond")),
        (present, _) => {
            return Err(ApiError::invalid(format!(
                "Only BytesPerSecond can be changed on a task execution, not {}.",
                present.join(", ")
            )));
        }
    };
    call.commit(move |tx| {
        let mut row = find(tx, &arn)?;
        if !row.record.is_live() {
            return Err(ApiError::invalid(format!(
                "Task execution {arn} has ended ({}) and cannot be changed.",
                row.record.status
            )));
        }
        row.record.rate = Rate::Fixed(rate);
        tx.update(&row)?;
        Ok(json!({}))
    })
    .await
}
