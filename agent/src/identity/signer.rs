//! Signatures by the key of the agent's certificate.

use std::sync::Arc;

use datasync_model::{AgentArn, AgentSignature, ReportStatement};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{IdentityError, Membership};

/// Signs as the agent. `Debug` shows no key.
#[derive(Clone)]
pub(crate) struct Signer {
    agent: AgentArn,
    key_pem: Arc<Zeroizing<String>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

impl Membership {
    pub(crate) fn signer(&self) -> Signer {
        Signer {
            agent: self.arn().clone(),
            key_pem: Arc::clone(&self.credential.key_pem),
        }
    }
}

impl Signer {
    /// The agent's signature over a report, and its DER alone.
    pub(crate) fn sign_report(
        &self,
        statement: &ReportStatement,
    ) -> Result<(AgentSignature, Vec<u8>), IdentityError> {
        let key = KeyPair::from_pem(&self.key_pem)?;
        let key_id = hex::encode(Sha256::digest(key.subject_public_key_info()));
        let text = statement.signed_by_agent(&self.agent, &key_id);
        let der = key.sign(text.as_bytes())?;
        let signature = AgentSignature {
            agent_arn: self.agent.clone(),
            key_id,
            public_key: key.public_key_pem(),
            signature: hex::encode(&der),
        };
        Ok((signature, der))
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        use rcgen::PKCS_ECDSA_P256_SHA256;
        let agent = "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0";
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            agent: agent.parse().unwrap(),
            key_pem: Arc::new(Zeroizing::new(key.serialize_pem())),
        }
    }
}
