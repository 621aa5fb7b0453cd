//! Activation keys, known only by their hash.

use aws_lc_rs::digest;
use datasync_model::{ActivationKey, AgentArn};
use serde::{Deserialize, Serialize};

use crate::store::Record;

/// An issued activation key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActivationKeyRecord {
    /// Hex SHA-256 of the key: see [`hash_of`].
    pub(crate) key_sha256: String,
    /// After this time CreateAgent and claims are refused.
    pub(crate) expires_at_ms: i64,
    /// Set on keys issued beforehand for roll-out without hands: the claim itself makes an agent
    /// of this name.
    #[serde(default)]
    pub(crate) agent_name: Option<String>,
    /// The host or network that asked for the key; absent on keys that an operator issued.
    #[serde(default)]
    pub(crate) requested_from: Option<std::net::IpAddr>,
    /// The machine that holds the key; absent on a key issued beforehand and not yet claimed.
    pub(crate) claim: Option<Claim>,
    /// The agent that CreateAgent made of it. A key is consumed once.
    pub(crate) consumed_by: Option<AgentArn>,
}

/// The machine behind a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// Base64 of the DER of the machine's PKCS#10 request.
    pub(crate) certificate_request: String,
    /// Hex fingerprint of the machine's public key.
    pub(crate) public_key_fingerprint: String,
    /// Hex SHA-256 of the ticket that the machine waits with.
    pub(crate) ticket_sha256: String,
    /// The agent software's version.
    pub(crate) agent_version: String,
}

/// The form in which a key is stored and looked up.
pub(crate) fn hash_of(key: &ActivationKey) -> String {
    hex::encode(digest::digest(&digest::SHA256, key.reveal().as_bytes()))
}

impl ActivationKeyRecord {
    /// Whether the key may still be consumed or claimed.
    pub(crate) fn is_live(&self, now_ms: i64) -> bool {
        self.consumed_by.is_none() && now_ms < self.expires_at_ms
    }
}

impl Record for ActivationKeyRecord {
    const KIND: &'static str = "activation-key";

    fn id(&self) -> String {
        self.key_sha256.clone()
    }

    /// The ticket's hash, by which a waiting machine finds its key.
    fn parent(&self) -> Option<String> {
        self.claim.as_ref().map(|claim| claim.ticket_sha256.clone())
    }
}
