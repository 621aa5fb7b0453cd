//! ListTaskExecutions.

use std::collections::BTreeSet;

use datasync_model::TaskArn;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::page::PageInput;
use super::super::{arns, tasks};
use crate::records::{DeletedTask, Execution};
use crate::store::{StoreError, Transaction};

/// More tasks than are ever being deleted at a time.
const DELETED_MAX: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    task_arn: Option<String>,
}

pub(in crate::api) async fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: ListInput = call.decode()?;
    let page = call.decode::<PageInput>()?.check()?;
    let home = &call.settings().home;
    let task: Option<TaskArn> = match input.task_arn {
        Some(arn) => Some(arns::ours(Some(arn), "TaskArn", home)?),
        None => None,
    };
    call.read(move |tx| {
        let deleted = match &task {
            Some(task) => {
                tasks::find(tx, task)?;
                BTreeSet::new()
            }
            None => deleted(tx)?,
        };
        page.answer(
            "TaskExecutions",
            |after, limit| match &task {
                Some(task) => tx.list_children::<Execution>(task.id(), after, limit),
                None => tx.list::<Execution>(after, limit),
            },
            |execution| !deleted.contains(execution.arn().task().id()),
            |executions| {
                let entry = |execution: &Execution| {
                    json!({
                        "TaskExecutionArn": execution.arn(),
                        "Status": execution.status,
                        "TaskMode": execution.spec.task_mode,
                    })
                };
                Ok(executions.iter().map(entry).collect())
            },
        )
    })
    .await
}

/// Ids of tasks that are gone and whose executions are not gone yet.
fn deleted(tx: &Transaction<'_>) -> Result<BTreeSet<String>, StoreError> {
    let rows = tx.list::<DeletedTask>(None, DELETED_MAX)?;
    Ok(rows
        .iter()
        .map(|row| row.record.arn.id().to_owned())
        .collect())
}
