//! ListTasks.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::locations::{ListFilterInput, ListFilters};
use super::super::page::PageInput;
use super::{of_locations, status};
use crate::records::Task;
use crate::store::{Record, StoreError, Transaction};

/// Locations of a filter whose tasks are looked up one by one; with more, tasks are gone through.
const LOCATIONS_MAX: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    filters: Option<Vec<ListFilterInput>>,
}

pub(in crate::api) async fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: ListInput = call.decode()?;
    let filters = ListFilters::of(input.filters.unwrap_or_default())?;
    let page = call.decode::<PageInput>()?.check()?;
    call.read(move |tx| {
        let locations = filters.locations();
        let locations = locations.filter(|locations| locations.len() <= LOCATIONS_MAX);
        page.answer(
            "Tasks",
            |after, limit| match locations {
                Some(locations) => of_locations(tx, locations, after, limit),
                None => tx.list::<Task>(after, limit),
            },
            |task| filters.keep_task(task),
            |tasks| entries(tx, tasks),
        )
    })
    .await
}

fn entries(tx: &Transaction<'_>, tasks: &[Task]) -> Result<Vec<Value>, StoreError> {
    let ids: Vec<String> = tasks.iter().map(Record::id).collect();
    let live = tx.live_of_tasks(&ids)?;
    let entry = |task: &Task| {
        let own = live
            .iter()
            .filter(|row| row.record.arn().task() == &task.arn);
        let mut entry = json!({
            "TaskArn": task.arn,
            "Status": status(task, own.map(|row| row.record.status)),
            "TaskMode": task.mode,
        });
        if let (Some(name), Some(members)) = (&task.name, entry.as_object_mut()) {
            members.insert("Name".to_owned(), name.clone().into());
        }
        entry
    };
    Ok(tasks.iter().map(entry).collect())
}
