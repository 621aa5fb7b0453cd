//! The one dispatch table.

use serde_json::Value;

use super::call::Call;
use super::error::ApiError;
use super::{agents, executions, locations, shapes, tags, tasks};

/// Carries out `operation`, once its members fit the API's model.
pub(super) async fn dispatch(operation: &str, mut call: Call<'_>) -> Result<Value, ApiError> {
    let input = shapes::input_of(operation).ok_or_else(|| {
        ApiError::unknown_operation(format!("{operation:?} is not an operation of DataSync."))
    })?;
    call.check(input)?;
    let call = &call;
    match operation {
        "CreateAgent" => agents::create(call).await,
        "DescribeAgent" => agents::describe(call).await,
        "UpdateAgent" => agents::update(call).await,
        "DeleteAgent" => agents::delete(call).await,
        "ListAgents" => agents::list(call).await,
        "CreateLocationNfs" => locations::nfs::create(call).await,
        "DescribeLocationNfs" => locations::nfs::describe(call).await,
        "UpdateLocationNfs" => locations::nfs::update(call).await,
        "CreateLocationEfs" => locations::efs::create(call).await,
        "DescribeLocationEfs" => locations::efs::describe(call).await,
        "UpdateLocationEfs" => locations::efs::update(call).await,
        "CreateLocationS3" => locations::s3::create(call).await,
        "DescribeLocationS3" => locations::s3::describe(call).await,
        "UpdateLocationS3" => locations::s3::update(call).await,
        "CreateLocationObjectStorage" => locations::object_storage::create(call).await,
        "DescribeLocationObjectStorage" => locations::object_storage::describe(call).await,
        "UpdateLocationObjectStorage" => locations::object_storage::update(call).await,
        "DeleteLocation" => locations::delete(call).await,
        "ListLocations" => locations::list(call).await,
        "CreateTask" => tasks::create(call).await,
        "DescribeTask" => tasks::describe(call).await,
        "UpdateTask" => tasks::update(call).await,
        "DeleteTask" => tasks::delete(call).await,
        "ListTasks" => tasks::list(call).await,
        "StartTaskExecution" => executions::start(call).await,
        "DescribeTaskExecution" => executions::describe(call).await,
        "ListTaskExecutions" => executions::list(call).await,
        "CancelTaskExecution" => executions::cancel(call).await,
        "UpdateTaskExecution" => executions::update(call).await,
        "TagResource" => tags::tag(call).await,
        "UntagResource" => tags::untag(call).await,
        "ListTagsForResource" => tags::list(call).await,
        // What is left are the locations of the other types.
        other if other.starts_with("Create") => Err(ApiError::unsupported(format!(
            "{other} is not supported in this release: locations are NFS, EFS, S3 and object \
             storage."
        ))),
        _ => locations::describe_or_update_of_another_type(call).await,
    }
}
