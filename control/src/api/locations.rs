//! Locations of every type: what they share.

pub(super) mod efs;
mod filters;
mod named_agents;
pub(super) mod nfs;
pub(super) mod object_storage;
mod paths;
pub(super) mod s3;

use datasync_model::{AgentArn, Home, LocationArn};
use serde::Deserialize;
use serde_json::{Value, json};

use super::agents::{self, seconds};
use super::call::Call;
use super::error::ApiError;
use super::page::PageInput;
use super::{arns, tasks};
use crate::records::{Location, LocationDetails, Tags};
use crate::store::{Transaction, Versioned};
use filters::{FilterInput, Filters};
pub(super) use paths::prefix;
pub(super) use s3::bucket_arn;

/// Users of a resource that the refusal to delete it names.
pub(super) const NAMED_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LocationInput {
    location_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    filters: Option<Vec<FilterInput>>,
}

/// `OnPremConfig`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OnPremInput {
    agent_arns: Option<Vec<String>>,
}

/// A location's row, or the text that clients match on.
pub(super) fn find(
    tx: &Transaction<'_>,
    arn: &LocationArn,
) -> Result<Versioned<Location>, ApiError> {
    tx.get::<Location>(arn.id())?
        .ok_or_else(|| ApiError::invalid(format!("Location {arn} is not found.")))
}

fn wrong_type(arn: &LocationArn) -> ApiError {
    ApiError::invalid(format!(
        "Invalid Location type: location {arn} is of another type than this operation."
    ))
}

fn target(call: &Call<'_>) -> Result<LocationArn, ApiError> {
    let input: LocationInput = call.decode()?;
    arns::ours(input.location_arn, "LocationArn", &call.settings().home)
}

fn agents_exist(tx: &Transaction<'_>, arns: &[AgentArn]) -> Result<(), ApiError> {
    for arn in arns {
        agents::find(tx, arn)?;
    }
    Ok(())
}

/// `AgentArns` where the member may be absent.
fn optional_agents(
    agents: Option<Vec<String>>,
    home: &Home,
) -> Result<Option<Vec<AgentArn>>, ApiError> {
    agents
        .map(|agents| arns::agents(agents, "AgentArns", home))
        .transpose()
}

async fn insert(
    call: &Call<'_>,
    arn: LocationArn,
    tags: Tags,
    details: LocationDetails,
) -> Result<Value, ApiError> {
    let location = Location {
        arn,
        created_at_ms: call.now_ms(),
        tags,
        details,
    };
    call.commit(move |tx| {
        agents_exist(tx, location.agents())?;
        tx.insert(&location)?;
        named_agents::follow(tx, &location.arn, (&[], location.agents()))?;
        Ok(json!({"LocationArn": location.arn}))
    })
    .await
}

fn new_arn(call: &Call<'_>) -> Result<LocationArn, ApiError> {
    Ok(LocationArn::new(&call.settings().home, call.unique_id()?))
}

/// DescribeLocation… and UpdateLocation… of the types that cannot be made: a location that exists
/// is of another one.
pub(super) async fn describe_or_update_of_another_type(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?;
    call.read(move |tx| {
        find(tx, &arn)?;
        Err(wrong_type(&arn))
    })
    .await
}

/// Describes a location by `show`, which returns nothing for a location of another type.
async fn show(
    call: &Call<'_>,
    show: impl FnOnce(&LocationDetails) -> Option<Value> + Send + 'static,
) -> Result<Value, ApiError> {
    let arn = target(call)?;
    call.read(move |tx| {
        let location = find(tx, &arn)?.record;
        let mut answer = show(&location.details).ok_or_else(|| wrong_type(&arn))?;
        if let Some(members) = answer.as_object_mut() {
            members.retain(|_, value| !value.is_null());
            members.insert("LocationArn".to_owned(), arn.to_string().into());
            members.insert("LocationUri".to_owned(), location.uri().into());
            members.insert("CreationTime".to_owned(), seconds(location.created_at_ms));
        }
        Ok(answer)
    })
    .await
}

/// Changes a location by `change`. Tasks that use it are tried again by the fleet, which sees
/// that the location is another one; running executions keep what they were started with.
async fn change(
    call: &Call<'_>,
    arn: LocationArn,
    change: impl FnOnce(&mut LocationDetails) -> Result<bool, ApiError> + Send + 'static,
) -> Result<Value, ApiError> {
    call.commit(move |tx| {
        let mut row = find(tx, &arn)?;
        let before = row.record.agents().to_vec();
        if !change(&mut row.record.details)? {
            return Err(wrong_type(&arn));
        }
        agents_exist(tx, row.record.agents())?;
        tx.update(&row)?;
        named_agents::follow(tx, &arn, (&before, row.record.agents()))?;
        tasks::retry_those_of(tx, &arn)?;
        Ok(json!({}))
    })
    .await
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?;
    call.commit(move |tx| {
        let location = find(tx, &arn)?;
        let users = tasks::of_locations(tx, &[arn.to_string()], None, NAMED_MAX)?;
        if !users.is_empty() {
            let users: Vec<String> = users.iter().map(|t| t.record.arn.to_string()).collect();
            return Err(ApiError::invalid(format!(
                "Location {arn} is in-use by these task(s): {}",
                users.join(", ")
            )));
        }
        named_agents::follow(tx, &arn, (location.record.agents(), &[]))?;
        tx.delete::<Location>(arn.id(), location.version)?;
        Ok(json!({}))
    })
    .await
}

pub(super) async fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: ListInput = call.decode()?;
    let filters = Filters::of(input.filters.unwrap_or_default())?;
    let page = call.decode::<PageInput>()?.check()?;
    call.read(move |tx| {
        page.answer(
            "Locations",
            |after, limit| tx.list::<Location>(after, limit),
            |location| filters.keep_location(location, &location.uri()),
            |locations| {
                let entry = |location: &Location| {
                    json!({"LocationArn": location.arn, "LocationUri": location.uri()})
                };
                Ok(locations.iter().map(entry).collect())
            },
        )
    })
    .await
}

pub(super) use filters::{FilterInput as ListFilterInput, Filters as ListFilters};
