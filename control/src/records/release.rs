//! Releases of the agent, which of them agents should run, and what came of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datasync_model::{AgentArn, ReleaseVersion};
use datasync_proto::DesiredRelease;
use serde::{Deserialize, Serialize};

use crate::store::{Record, StoreError};

/// A bundle that agents can fetch. Its bytes are in [`ReleasePart`]s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) version: ReleaseVersion,
    /// As `uname -m` says it.
    pub(crate) architecture: String,
    /// Which key is said to have signed it: agents find out.
    pub(crate) key_id: String,
    /// Of its program.
    pub(crate) sha256: String,
    pub(crate) made_at: String,
    /// Length of the bundle.
    pub(crate) bytes: u64,
    pub(crate) parts: u32,
    /// Whether every part is there.
    pub(crate) is_complete: bool,
    pub(crate) added_at_ms: i64,
}

impl Release {
    /// The row of a version for an architecture.
    pub(crate) fn id_of(version: &ReleaseVersion, architecture: &str) -> String {
        format!("{version}/{architecture}")
    }
}

impl Record for Release {
    const KIND: &'static str = "release";

    fn id(&self) -> String {
        Self::id_of(&self.version, &self.architecture)
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

/// Some bytes of a bundle.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleasePart {
    /// The [`Release`]'s id.
    release: String,
    /// From 0 on.
    number: u32,
    /// In base64.
    data: String,
}

impl std::fmt::Debug for ReleasePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReleasePart")
            .field("release", &self.release)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl ReleasePart {
    pub(crate) fn new(release: &str, number: u32, bytes: &[u8]) -> Self {
        Self {
            release: release.to_owned(),
            number,
            data: STANDARD.encode(bytes),
        }
    }

    pub(crate) fn id_of(release: &str, number: u32) -> String {
        format!("{release}/{number:05}")
    }

    /// # Errors
    /// [`StoreError::Broken`] if the row was damaged.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        STANDARD
            .decode(&self.data)
            .map_err(|error| StoreError::Broken {
                kind: Self::KIND,
                id: self.id(),
                reason: error.to_string(),
            })
    }
}

impl Record for ReleasePart {
    const KIND: &'static str = "release-part";

    fn id(&self) -> String {
        Self::id_of(&self.release, self.number)
    }

    fn parent(&self) -> Option<String> {
        Some(self.release.clone())
    }
}

/// Which release an agent should run, or every agent that has no wish of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseWish {
    /// `None`: every agent.
    pub(crate) agent: Option<AgentArn>,
    /// `None`: the one that it runs.
    pub(crate) version: Option<ReleaseVersion>,
    /// Another one for each wish.
    pub(crate) request: String,
    /// Executions stop at a checkpoint for it.
    pub(crate) drain: bool,
    /// Whether it may be older than what runs.
    pub(crate) allow_downgrade: bool,
    pub(crate) set_at_ms: i64,
}

impl ReleaseWish {
    /// The row of the wish for every agent. No agent has this id.
    pub(crate) const ALL: &'static str = "all";

    /// What the agent is told.
    pub(crate) fn message(&self) -> Option<DesiredRelease> {
        Some(DesiredRelease {
            version: self.version.as_ref()?.to_string(),
            request_id: self.request.clone(),
            drain: self.drain,
            allow_downgrade: self.allow_downgrade,
        })
    }
}

impl Record for ReleaseWish {
    const KIND: &'static str = "release-wish";

    fn id(&self) -> String {
        let agent = self.agent.as_ref();
        agent.map_or(Self::ALL, AgentArn::id).to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

/// Where an agent's last update stands, as it said last. Written when that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AgentUpdate {
    pub(crate) agent: AgentArn,
    /// A word of the model's `UpdateState`, or one of a newer agent.
    pub(crate) state: String,
    /// Empty if there was no update.
    pub(crate) version: String,
    /// Of the wish; empty where somebody on the agent's machine installed it.
    pub(crate) request: String,
    /// Why it was refused or rolled back.
    pub(crate) detail: String,
    /// When it was said first.
    pub(crate) noted_at_ms: i64,
}

impl Record for AgentUpdate {
    const KIND: &'static str = "agent-update";

    fn id(&self) -> String {
        self.agent.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
