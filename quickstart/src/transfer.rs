//! Locations, task and executions, through the public API.

use std::time::Duration;

use aws_sdk_datasync::operation::describe_task_execution::DescribeTaskExecutionOutput;
use aws_sdk_datasync::types::{
    ObjectStorageServerProtocol, OnPremConfig, Options, TaskExecutionStatus, TaskStatus, VerifyMode,
};
use datasync_agent::{ProgressDisplay, Standing};
use datasync_model::{ExecutionStatus, PhaseStatus};
use tokio::time::sleep;

use crate::error::Fault;
use crate::world::World;

const POLL_EVERY: Duration = Duration::from_millis(200);

/// The ARNs of what was created.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) arn: String,
    pub(crate) source: String,
    pub(crate) destination: String,
}

macro_rules! call {
    ($name:literal, $request:expr) => {
        $request
            .send()
            .await
            .map_err(|error| Fault::new($name, error.into_service_error()))?
    };
}

/// Creates both locations and the task, and waits until the task can run.
pub(crate) async fn create(world: &World) -> Result<Task, Fault> {
    let source = create_source(world).await?;
    let destination = create_destination(world).await?;
    let options = Options::builder()
        .verify_mode(VerifyMode::OnlyFilesTransferred)
        .build();
    let created = call!(
        "CreateTask",
        world
            .api
            .create_task()
            .name("quickstart")
            .source_location_arn(&source)
            .destination_location_arn(&destination)
            .options(options)
    );
    let arn = created.task_arn().unwrap_or_default().to_owned();
    wait_until_available(world, &arn).await?;
    Ok(Task {
        arn,
        source,
        destination,
    })
}

async fn create_source(world: &World) -> Result<String, Fault> {
    let agents = OnPremConfig::builder()
        .agent_arns(&world.agent_arn)
        .build()
        .map_err(|error| Fault::new("CreateLocationNfs", error))?;
    let created = call!(
        "CreateLocationNfs",
        world
            .api
            .create_location_nfs()
            .server_hostname(&world.source.host)
            .subdirectory(&world.source.path)
            .on_prem_config(agents)
    );
    Ok(created.location_arn().unwrap_or_default().to_owned())
}

async fn create_destination(world: &World) -> Result<String, Fault> {
    let protocol = if world.store.secure {
        ObjectStorageServerProtocol::Https
    } else {
        ObjectStorageServerProtocol::Http
    };
    let created = call!(
        "CreateLocationObjectStorage",
        world
            .api
            .create_location_object_storage()
            .server_hostname(&world.store.host)
            .server_port(i32::from(world.store.port))
            .server_protocol(protocol)
            .bucket_name(&world.destination.bucket)
            .subdirectory(format!("/{}", world.destination.prefix))
            .access_key(&world.store_key.id)
            .secret_key(&world.store_key.secret)
            .agent_arns(&world.agent_arn)
    );
    Ok(created.location_arn().unwrap_or_default().to_owned())
}

async fn wait_until_available(world: &World, task: &str) -> Result<(), Fault> {
    loop {
        let found = call!("DescribeTask", world.api.describe_task().task_arn(task));
        match found.status() {
            Some(TaskStatus::Available) => return Ok(()),
            Some(TaskStatus::Unavailable) => {
                return Err(Fault::plain(format!(
                    "the task cannot run: {}: {}",
                    found.error_code().unwrap_or("?"),
                    found.error_detail().unwrap_or("?")
                )));
            }
            _ => sleep(POLL_EVERY).await,
        }
    }
}

/// Runs the task once, showing its progress.
pub(crate) async fn execute(
    world: &World,
    task: &Task,
) -> Result<DescribeTaskExecutionOutput, Fault> {
    let started = call!(
        "StartTaskExecution",
        world.api.start_task_execution().task_arn(&task.arn)
    );
    let arn = started.task_execution_arn().unwrap_or_default();
    let mut display = ProgressDisplay::new();
    let ended = loop {
        let execution = call!(
            "DescribeTaskExecution",
            world.api.describe_task_execution().task_execution_arn(arn)
        );
        display.show(&standing(&execution));
        match execution.status() {
            Some(TaskExecutionStatus::Success | TaskExecutionStatus::Error) => break execution,
            _ => sleep(POLL_EVERY).await,
        }
    };
    display.end();
    if ended.status() == Some(&TaskExecutionStatus::Success) {
        return Ok(ended);
    }
    let result = ended.result();
    Err(Fault::plain(format!(
        "the execution ended in ERROR: {}: {}",
        result.and_then(|result| result.error_code()).unwrap_or("?"),
        result
            .and_then(|result| result.error_detail())
            .unwrap_or("?"),
    )))
}

/// The numbers of the progress line, of which the API knows all that it shows.
fn standing(execution: &DescribeTaskExecutionOutput) -> Standing {
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let status = execution.status().map(|status| status.as_str().parse());
    let prepared = execution
        .result()
        .and_then(|result| result.prepare_status());
    Standing {
        status: status
            .and_then(Result::ok)
            .unwrap_or(ExecutionStatus::Launching),
        is_scanned: prepared.is_some_and(|status| status.as_str() == PhaseStatus::Success.as_str()),
        files_transferred: count(execution.files_transferred()),
        files_to_transfer: count(execution.estimated_files_to_transfer()),
        bytes_written: count(execution.bytes_written()),
        bytes_to_transfer: count(execution.estimated_bytes_to_transfer()),
        files_verified: count(execution.files_verified()),
        files_skipped: count(execution.files_skipped()),
        files_failed: 0,
        pace: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_numbers_of_the_api() {
        let described = DescribeTaskExecutionOutput::builder()
            .status(TaskExecutionStatus::Transferring)
            .files_transferred(1)
            .estimated_files_to_transfer(2)
            .bytes_written(3)
            .estimated_bytes_to_transfer(-1)
            .files_verified(5)
            .files_skipped(6)
            .build();
        let expected = Standing {
            status: ExecutionStatus::Transferring,
            is_scanned: false,
            files_transferred: 1,
            files_to_transfer: 2,
            bytes_written: 3,
            bytes_to_transfer: 0,
            files_verified: 5,
            files_skipped: 6,
            files_failed: 0,
            pace: None,
        };
        assert_eq!(standing(&described), expected);
    }
}
