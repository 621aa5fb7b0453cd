//! Agents, and what was last heard of them.

use datasync_model::{AgentArn, AgentStatus};
use serde::{Deserialize, Serialize};

use super::Tags;
use crate::store::Record;

/// An agent, from CreateAgent to DeleteAgent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Agent {
    /// The agent's ARN.
    pub(crate) arn: AgentArn,
    /// The name that its owner gave it.
    pub(crate) name: Option<String>,
    /// When CreateAgent was called.
    pub(crate) created_at_ms: i64,
    /// Hex fingerprint of the public key that may act as this agent; absent while a key issued
    /// beforehand has been consumed but not yet claimed by a machine.
    pub(crate) public_key_fingerprint: Option<String>,
    /// Its tags.
    pub(crate) tags: Tags,
}

impl Record for Agent {
    const KIND: &'static str = "agent";

    fn id(&self) -> String {
        self.arn.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

/// What was last heard of an agent. Written by the fleet with every heartbeat, apart from
/// [`Agent`], so that the two never conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AgentPresence {
    /// The agent's ARN.
    pub(crate) arn: AgentArn,
    /// ONLINE, or OFFLINE on a clean stop.
    pub(crate) reported: AgentStatus,
    /// When it was last heard of.
    pub(crate) last_contact_ms: i64,
    /// The agent software's version.
    pub(crate) version: String,
    /// Made at each start of the agent's process.
    pub(crate) boot_nonce: String,
    /// What it said it can do beyond the first release.
    #[serde(default)]
    pub(crate) abilities: Vec<String>,
    /// Facts about its host, as the fleet writes them.
    pub(crate) host: Option<serde_json::Value>,
    /// The start of control that it is connected to, where several share the store.
    #[serde(default)]
    pub(crate) replica: String,
    /// How long after this contact it may write for executions that can move to other agents, at
    /// most, in milliseconds.
    #[serde(default)]
    pub(crate) lease_ms: u64,
    /// Boot nonces of machines that lost against this one.
    #[serde(default)]
    pub(crate) losers: Vec<String>,
    /// The life of the certificate that it last showed.
    #[serde(default)]
    pub(crate) certificate: Option<Life>,
    /// When another machine with its identity was last refused.
    #[serde(default)]
    pub(crate) clone_seen_ms: Option<i64>,
}

/// How long a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
}

impl AgentPresence {
    /// Machines that lost, remembered for each agent.
    pub(crate) const LOSERS_MAX: usize = 16;
}

impl Record for AgentPresence {
    const KIND: &'static str = "agent-presence";

    fn id(&self) -> String {
        self.arn.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
