//! Which release agents should run, and which they do.

use datasync_model::{AgentArn, ReleaseVersion};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::bundles::{of_version, open};
use crate::admin::AdminError;
use crate::records::{Agent, AgentPresence, AgentUpdate, ReleaseWish};
use crate::state::StatePlace;
use crate::store::{Record, StoreError, Transaction, Versioned};

/// What agents should run.
#[derive(Debug, Clone)]
pub(crate) struct NewWish {
    /// Empty: every agent, also those that come later.
    pub(crate) agents: Vec<AgentArn>,
    /// `None`: what they run.
    pub(crate) version: Option<ReleaseVersion>,
    pub(crate) drain: bool,
    pub(crate) allow_downgrade: bool,
}

fn request() -> Result<String, AdminError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|e| AdminError::new(format!("the system's random source failed: {e}")))?;
    Ok(hex::encode(random))
}

/// Sets which release agents should run. What was wished for every agent takes the place of wishes for
/// single ones.
///
/// # Errors
/// [`AdminError`]: no such agent or release, or the store cannot be used.
pub(crate) async fn set_release(
    place: impl Into<StatePlace>,
    new: NewWish,
) -> Result<(), AdminError> {
    let (request, now) = (request()?, Timestamp::now());
    let state = open(place)?;
    state
        .store
        .commit(move |rows| {
            if let Some(version) = &new.version
                && of_version(rows, version)?.is_empty()
            {
                return Err(AdminError::new(format!(
                    "there is no release {version}: `release add` its bundle first"
                )));
            }
            let wish = |agent: Option<AgentArn>| ReleaseWish {
                agent,
                version: new.version.clone(),
                request: request.clone(),
                drain: new.drain,
                allow_downgrade: new.allow_downgrade,
                set_at_ms: now.as_millisecond(),
            };
            if new.agents.is_empty() {
                for row in rows.list::<ReleaseWish>(None, usize::MAX)? {
                    rows.delete::<ReleaseWish>(&row.record.id(), row.version)?;
                }
                rows.insert(&wish(None))?;
            }
            for agent in &new.agents {
                if rows.get::<Agent>(agent.id())?.is_none() {
                    return Err(AdminError::new(format!("there is no agent {agent}")));
                }
                put(rows, wish(Some(agent.clone())))?;
            }
            Ok(())
        })
        .await
}

fn put(rows: &Transaction<'_>, wish: ReleaseWish) -> Result<(), StoreError> {
    match rows.get::<ReleaseWish>(&wish.id())? {
        Some(mut row) => {
            row.record = wish;
            rows.update(&row)
        }
        None => rows.insert(&wish),
    }
}

/// Every agent, or one: what it runs, what it should run, and where its last update stands.
///
/// # Errors
/// [`AdminError`]: no such agent, or the store cannot be used.
pub(crate) async fn list_agents(
    place: impl Into<StatePlace>,
    only: Option<AgentArn>,
) -> Result<Vec<Value>, AdminError> {
    let state = open(place)?;
    state
        .store
        .read(move |rows| {
            let agents = match &only {
                None => rows.list::<Agent>(None, usize::MAX)?,
                Some(agent) => {
                    let found = rows.get::<Agent>(agent.id())?;
                    let missing = || AdminError::new(format!("there is no agent {agent}"));
                    vec![found.ok_or_else(missing)?]
                }
            };
            let all = rows.get::<ReleaseWish>(ReleaseWish::ALL)?;
            let shown = agents
                .iter()
                .map(|row| shown(rows, &row.record, all.as_ref()));
            Ok(shown.collect::<Result<_, StoreError>>()?)
        })
        .await
}

fn time(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    time.to_string()
}

fn shown(
    rows: &Transaction<'_>,
    agent: &Agent,
    all: Option<&Versioned<ReleaseWish>>,
) -> Result<Value, StoreError> {
    let id = agent.arn.id();
    let presence = rows.get::<AgentPresence>(id)?.map(|row| row.record);
    let update = rows.get::<AgentUpdate>(id)?.map(|row| row.record);
    let own = rows.get::<ReleaseWish>(id)?;
    let wish = own.as_ref().or(all).map(|row| &row.record);
    Ok(json!({
        "AgentArn": agent.arn,
        "Name": agent.name,
        "Status": presence.as_ref().map(|seen| seen.reported),
        "Version": presence.as_ref().map(|seen| seen.version.as_str()),
        "LastConnectionTime": presence.as_ref().map(|seen| time(seen.last_contact_ms)),
        "Wanted": wish.filter(|wish| wish.version.is_some()).map(|wish| json!({
            "Version": wish.version,
            "Drain": wish.drain,
            "AllowDowngrade": wish.allow_downgrade,
            "Since": time(wish.set_at_ms),
        })),
        "Update": update.map(|update| json!({
            "State": update.state,
            "Version": update.version,
            "ByControl": !update.request.is_empty(),
            "Detail": update.detail,
            "Since": time(update.noted_at_ms),
        })),
    }))
}
