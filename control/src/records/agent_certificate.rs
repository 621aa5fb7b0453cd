//! The certificate that an agent was given last.

use serde::{Deserialize, Serialize};

use crate::store::Record;

/// Written when a certificate is issued, and once more when the agent comes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AgentCertificate {
    /// Id of the agent.
    pub(crate) agent: String,
    /// SHA-256 of its DER, lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Fingerprint of the CA that issued it.
    pub(crate) issuer: String,
    /// Fingerprints of the CAs that the agent was told to trust with it.
    pub(crate) anchors: Vec<String>,
    /// The end of its life.
    pub(crate) ends_at_ms: i64,
    /// Whether the agent has opened a session with it: what came with it has arrived.
    pub(crate) is_shown: bool,
}

impl Record for AgentCertificate {
    const KIND: &'static str = "agent-certificate";

    fn id(&self) -> String {
        self.agent.clone()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
