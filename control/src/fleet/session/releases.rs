//! A release for an agent, part by part as it takes them.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use datasync_model::AgentArn;
use datasync_proto::{FetchReleaseRequest, ReleasePart};
use futures::Stream;
use futures::stream::try_unfold;
use tonic::{Response, Status};

use crate::fleet::{Fleet, lock};
use crate::records::Release;
use crate::store::{Record, StoreError};

/// Agents that fetch at a time, each one release; others come again.
const FETCHING_MAX: usize = 32;

/// The parts of a bundle.
pub(crate) type PartStream = Pin<Box<dyn Stream<Item = Result<ReleasePart, Status>> + Send>>;

/// The agent's place among those that fetch.
struct Turn {
    fetching: Arc<Mutex<HashSet<AgentArn>>>,
    agent: AgentArn,
}

impl Turn {
    fn take(fetching: &Arc<Mutex<HashSet<AgentArn>>>, agent: AgentArn) -> Result<Self, Status> {
        let mut taken = lock(fetching);
        if taken.len() >= FETCHING_MAX {
            return Err(Status::resource_exhausted(
                "other agents are fetching releases: try again later",
            ));
        }
        if !taken.insert(agent.clone()) {
            return Err(Status::resource_exhausted(
                "this agent is fetching one already",
            ));
        }
        Ok(Self {
            fetching: Arc::clone(fetching),
            agent,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.fetching).remove(&self.agent);
    }
}

/// The bundle that `asked` names, for `agent`.
pub(super) async fn parts(
    fleet: Arc<Fleet>,
    agent: AgentArn,
    asked: &FetchReleaseRequest,
) -> Result<Response<PartStream>, Status> {
    let missing = || {
        Status::not_found(format!(
            "control has no bundle of release {:?} for {:?}: `datasync-control release add`",
            asked.version, asked.architecture
        ))
    };
    let version = asked.version.parse().map_err(|_| missing())?;
    let turn = Turn::take(&fleet.fetching, agent.clone())?;
    let id = Release::id_of(&version, &asked.architecture);
    let release = fleet.rows.release(id).await.map_err(|e| unreadable(&e))?;
    let release = release.ok_or_else(missing)?;
    let (id, count) = (release.id(), release.parts);
    tracing::info!(%agent, release = id, event = "release.fetched", "an agent fetches a release");
    let next = move |(number, turn): (u32, Turn)| {
        let (fleet, id) = (fleet.clone(), id.clone());
        async move {
            if number == count {
                return Ok(None);
            }
            let part = fleet.rows.release_part(&id, number).await;
            let data = part
                .map_err(|error| unreadable(&error))?
                .ok_or_else(|| Status::aborted("the release was removed meanwhile"))?;
            Ok(Some((ReleasePart { data }, (number + 1, turn))))
        }
    };
    Ok(Response::new(Box::pin(try_unfold((0, turn), next))))
}

fn unreadable(error: &StoreError) -> Status {
    tracing::error!(%error, "a release cannot be read");
    Status::unavailable("control's store cannot be read: try again later")
}
