//! Agents.

use datasync_model::{ActivationKey, AgentArn, AgentStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::check::{self, TagInput, required};
use super::error::ApiError;
use super::page::PageInput;
use super::{arns, locations};
use crate::enrollment::agent_with_key;
use crate::records::{
    ActivationKeyRecord, Agent, AgentCertificate, AgentPresence, AgentUpdate, LocationAgent,
    ReleaseWish, hash_of,
};
use crate::store::{Record, StoreError, Transaction, Versioned, whole};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    activation_key: Option<String>,
    agent_name: Option<String>,
    tags: Option<Vec<TagInput>>,
    vpc_endpoint_id: Option<String>,
    subnet_arns: Option<Vec<String>>,
    security_group_arns: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentInput {
    agent_arn: Option<String>,
    name: Option<String>,
}

pub(super) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: CreateInput = call.decode()?;
    let key = required(input.activation_key, "ActivationKey")?;
    let key: ActivationKey = key.parse().map_err(|_| {
        // The text may be a secret with a typing error: not repeated.
        check::unlike("***", "ActivationKey", "[A-Z0-9]{5}(-[A-Z0-9]{5}){4}")
    })?;
    if input.vpc_endpoint_id.is_some()
        || input.subnet_arns.is_some_and(|list| !list.is_empty())
        || input
            .security_group_arns
            .is_some_and(|list| !list.is_empty())
    {
        return Err(ApiError::unsupported(
            "VPC endpoints (VpcEndpointId, SubnetArns, SecurityGroupArns) do not exist here: \
             create the agent with its activation key alone.",
        ));
    }
    let agent = Agent {
        arn: AgentArn::new(&call.settings().home, call.unique_id()?),
        name: check::optional_name(input.agent_name, "AgentName")?,
        created_at_ms: call.now_ms(),
        public_key_fingerprint: None,
        tags: check::tags(input.tags)?,
    };
    let hash = hash_of(&key);
    call.commit(move |tx| consume(tx, &hash, agent)).await
}

/// Consumes the key and makes the agent, both or neither.
fn consume(tx: &Transaction<'_>, hash: &str, mut agent: Agent) -> Result<Value, ApiError> {
    let refused = || {
        ApiError::invalid(
            "The activation key is invalid, has expired or was used before. Keys are good once \
             and for 30 minutes: get a new one from the agent.",
        )
    };
    let mut key = tx.get::<ActivationKeyRecord>(hash)?.ok_or_else(refused)?;
    if !key.record.is_live(agent.created_at_ms) {
        return Err(refused());
    }
    key.record.consumed_by = Some(agent.arn.clone());
    if let Some(claim) = &key.record.claim {
        // A machine may hold several keys, but its key pair is one agent.
        if let Some(other) = agent_with_key(tx, &claim.public_key_fingerprint)? {
            return Err(ApiError::invalid(format!(
                "The machine with this activation key is agent {other} already: delete that agent \
                 before you activate the machine anew."
            )));
        }
        agent.public_key_fingerprint = Some(claim.public_key_fingerprint.clone());
    }
    tx.update(&key)?;
    tx.insert(&agent)?;
    Ok(json!({"AgentArn": agent.arn}))
}

/// An agent's row, or the text that clients match on.
pub(super) fn find(tx: &Transaction<'_>, arn: &AgentArn) -> Result<Versioned<Agent>, ApiError> {
    tx.get::<Agent>(arn.id())?
        .ok_or_else(|| ApiError::invalid(format!("Agent {arn} does not exist.")))
}

pub(super) async fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?.0;
    call.read(move |tx| {
        let agent = find(tx, &arn)?.record;
        let presence = tx.get::<AgentPresence>(arn.id())?.map(|row| row.record);
        let mut answer = summary(&agent, presence.as_ref());
        if let Some(members) = answer.as_object_mut() {
            members.insert("CreationTime".to_owned(), seconds(agent.created_at_ms));
            members.insert("EndpointType".to_owned(), "PUBLIC".into());
            if let Some(presence) = &presence {
                let last = seconds(presence.last_contact_ms);
                members.insert("LastConnectionTime".to_owned(), last);
            }
        }
        Ok(answer)
    })
    .await
}

/// A time as the API has it: seconds since 1970, with a fraction.
pub(super) fn seconds(ms: i64) -> Value {
    // Exact: a millisecond count of this size fits a double's 53 bits.
    #[allow(clippy::cast_precision_loss)]
    let seconds = ms as f64 / 1000.0;
    json!(seconds)
}

/// The status is the row's: whether it still holds depends on no two clocks.
fn summary(agent: &Agent, presence: Option<&AgentPresence>) -> Value {
    let status = presence.map_or(AgentStatus::Offline, |presence| presence.reported);
    let mut entry = json!({"AgentArn": agent.arn, "Status": status});
    if let Some(members) = entry.as_object_mut() {
        if let Some(name) = &agent.name {
            members.insert("Name".to_owned(), name.clone().into());
        }
        if let Some(version) = presence.map(|presence| &presence.version)
            && !version.is_empty()
        {
            members.insert("Platform".to_owned(), json!({"Version": version}));
        }
    }
    entry
}

fn target(call: &Call<'_>) -> Result<(AgentArn, Option<String>), ApiError> {
    let input: AgentInput = call.decode()?;
    let arn = arns::ours(input.agent_arn, "AgentArn", &call.settings().home)?;
    Ok((arn, input.name))
}

pub(super) async fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let (arn, name) = target(call)?;
    let renamed = name.is_some();
    let name = check::optional_name(name, "Name")?;
    call.commit(move |tx| {
        let mut agent = find(tx, &arn)?;
        if renamed {
            agent.record.name = name;
            tx.update(&agent)?;
        }
        Ok(json!({}))
    })
    .await
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = target(call)?.0;
    call.commit(move |tx| {
        let agent = find(tx, &arn)?;
        let users = tx.list_children::<LocationAgent>(arn.id(), None, locations::NAMED_MAX)?;
        if !users.is_empty() {
            let users: Vec<String> = users
                .iter()
                .map(|row| row.record.location.to_string())
                .collect();
            return Err(ApiError::invalid(format!(
                "Agent {arn} is in-use by these location(s): {}",
                users.join(", ")
            )));
        }
        let launched = whole(tx.launched_executions()?)?;
        let busy = launched
            .into_iter()
            .find(|execution| execution.record.agent.as_ref() == Some(&arn));
        if let Some(execution) = busy {
            return Err(ApiError::invalid(format!(
                "Agent {arn} is running task execution {}: cancel it or let it end first.",
                execution.record.arn()
            )));
        }
        tx.delete::<Agent>(arn.id(), agent.version)?;
        if let Some(presence) = tx.get::<AgentPresence>(arn.id())? {
            tx.delete::<AgentPresence>(arn.id(), presence.version)?;
        }
        if let Some(certificate) = tx.get::<AgentCertificate>(arn.id())? {
            tx.delete::<AgentCertificate>(arn.id(), certificate.version)?;
        }
        forget_updates(tx, &arn)?;
        Ok(json!({}))
    })
    .await
}

/// What it should have run, and what it said of that.
fn forget_updates(tx: &Transaction<'_>, agent: &AgentArn) -> Result<(), StoreError> {
    if let Some(wish) = tx.get::<ReleaseWish>(agent.id())? {
        tx.delete::<ReleaseWish>(agent.id(), wish.version)?;
    }
    if let Some(update) = tx.get::<AgentUpdate>(agent.id())? {
        tx.delete::<AgentUpdate>(agent.id(), update.version)?;
    }
    Ok(())
}

pub(super) async fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let page = call.decode::<PageInput>()?.check()?;
    call.read(move |tx| {
        page.answer(
            "Agents",
            |after, limit| tx.list::<Agent>(after, limit),
            |_| true,
            |agents| {
                let ids: Vec<String> = agents.iter().map(Record::id).collect();
                let presence = whole(tx.several::<AgentPresence>(&ids)?)?;
                let summary = |agent: &Agent| {
                    let mut presence = presence.iter().map(|row| &row.record);
                    let presence = presence.find(|presence| presence.arn == agent.arn);
                    summary(agent, presence)
                };
                Ok(agents.iter().map(summary).collect())
            },
        )
    })
    .await
}
