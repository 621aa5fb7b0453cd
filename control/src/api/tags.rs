//! Tags of agents, locations, tasks and executions.

use datasync_model::Home;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::check::{self, TagInput, list_size, required};
use super::error::ApiError;
use super::page::PageInput;
use super::{agents, arns, executions, extensions, locations, tasks};
use crate::records::Tags;
use crate::store::Transaction;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsInput {
    resource_arn: Option<String>,
    tags: Option<Vec<TagInput>>,
    keys: Option<Vec<String>>,
}

/// Reads a resource's tags, and writes what `change` makes of them.
fn change(
    tx: &Transaction<'_>,
    arn: &str,
    home: &Home,
    change: impl FnOnce(&mut Tags) -> Result<bool, ApiError>,
) -> Result<Tags, ApiError> {
    let member = "ResourceArn";
    let given = || Some(arn.to_owned());
    macro_rules! on {
        ($find:path) => {{
            let mut row = $find(tx, &arns::ours(given(), member, home)?)?;
            if change(&mut row.record.tags)? {
                tx.update(&row)?;
            }
            Ok(row.record.tags)
        }};
    }
    if arn.contains("/execution/") {
        on!(executions::find)
    } else if arn.contains(":task/") {
        on!(tasks::find)
    } else if arn.contains(":location/") {
        on!(locations::find)
    } else {
        on!(agents::find)
    }
}

pub(super) async fn tag(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: TagsInput = call.decode()?;
    let arn = required(input.resource_arn, "ResourceArn")?;
    let added = check::tags(Some(required(input.tags, "Tags")?))?;
    let home = call.settings().home.clone();
    call.commit(move |tx| {
        if arn.contains(":task/") && !arn.contains("/execution/") {
            let task = arns::ours(Some(arn.clone()), "ResourceArn", &home)?;
            let task = tasks::find(tx, &task)?.record;
            let mut tags = task.tags;
            tags.extend(added.clone());
            extensions::check_of_task(&tags, task.options.verify_mode)?;
        }
        change(tx, &arn, &home, |tags| {
            tags.extend(added);
            check::tag_count(tags)?;
            Ok(true)
        })?;
        Ok(json!({}))
    })
    .await
}

pub(super) async fn untag(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: TagsInput = call.decode()?;
    let arn = required(input.resource_arn, "ResourceArn")?;
    let keys = required(input.keys, "Keys")?;
    list_size(&keys, "Keys", 1, 50)?;
    for key in &keys {
        check::tag_key(key, "Keys.member")?;
    }
    let home = call.settings().home.clone();
    call.commit(move |tx| {
        change(tx, &arn, &home, |tags| {
            tags.retain(|key, _| !keys.contains(key));
            Ok(true)
        })?;
        Ok(json!({}))
    })
    .await
}

pub(super) async fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: TagsInput = call.decode()?;
    let page = call.decode::<PageInput>()?.check()?;
    let arn = required(input.resource_arn, "ResourceArn")?;
    let home = call.settings().home.clone();
    call.read(move |tx| {
        let tags = change(tx, &arn, &home, |_| Ok(false))?;
        let entries = tags
            .into_iter()
            .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})))
            .collect();
        Ok(page.of_values("Tags", entries))
    })
    .await
}
