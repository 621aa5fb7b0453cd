//! Control's name under what an agent signed.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use datasync_model::{AgentArn, Digest, ReportStatement, TaskExecutionArn};
use datasync_proto::{ReportCountersigned, ReportSigned};
use jiff::Timestamp;
use rcgen::{KeyPair, SigningKey};

use super::keys;
use crate::ca::PublicKey;
use crate::records::ReportKey;
use crate::store::{SealError, Sealer, Store, StoreError};

/// Why control cannot sign. Of the store, it may pass: the agent asks again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("a key for task reports cannot be made or used: {0}")]
    Key(#[from] rcgen::Error),
}

/// Why control does not put its name under a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the message names no execution or holds no SHA-256 root")]
    Malformed,
    #[error("the signature is not one of the key of the agent's certificate")]
    WrongSignature,
}

/// What an agent is proven to have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) statement: ReportStatement,
    agent: AgentArn,
    key_id: String,
    signature: Vec<u8>,
}

/// What `agent`, whose certificate is over `key`, signed.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn checked(
    signed: &ReportSigned,
    agent: &AgentArn,
    key: &PublicKey,
) -> Result<Signed, Refusal> {
    let execution: TaskExecutionArn = signed
        .execution_arn
        .parse()
        .map_err(|_| Refusal::Malformed)?;
    let root = Digest::try_from(signed.root.as_slice()).map_err(|_| Refusal::Malformed)?;
    let statement = ReportStatement {
        execution,
        objects: signed.objects,
        entries: signed.entries,
        root,
    };
    let key_id = key.fingerprint();
    let text = statement.signed_by_agent(agent, &key_id);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.der())
        .verify(text.as_bytes(), &signed.signature)
        .map_err(|_| Refusal::WrongSignature)?;
    Ok(Signed {
        statement,
        agent: agent.clone(),
        key_id,
        signature: signed.signature.clone(),
    })
}

/// Signs with the key in use, whichever replica made it.
#[derive(Debug)]
pub(crate) struct Countersigner {
    store: Store,
    sealer: Arc<Sealer>,
}

impl Countersigner {
    pub(crate) fn new(store: Store, sealer: Arc<Sealer>) -> Self {
        Self { store, sealer }
    }

    /// # Errors
    /// [`SigningError`].
    pub(crate) async fn sign(
        &self,
        signed: &Signed,
        now: Timestamp,
    ) -> Result<ReportCountersigned, SigningError> {
        let key = self.key(now).await?;
        // Clocks of replicas differ: nothing is signed before its key was made.
        let created = Timestamp::from_millisecond(key.created_at_ms).unwrap_or(now);
        let signed_at = now.max(created).to_string();
        let (sealed, sealer) = (key.clone(), self.sealer.clone());
        // On the store's thread: to know the sealing key takes a look at its file.
        let private = self
            .store
            .read(move |_| Ok::<_, SigningError>(sealed.open(&sealer)?));
        let private = private.await?;
        let pair = KeyPair::from_pem(private.as_deref().map_or("", String::as_str))?;
        let agent_signature = hex::encode(&signed.signature);
        let text = signed.statement.signed_by_control(
            (&signed.agent, &signed.key_id, &agent_signature),
            (&key.key_id, &signed_at),
        );
        Ok(ReportCountersigned {
            execution_arn: signed.statement.execution.to_string(),
            root: signed.statement.root.as_bytes().to_vec(),
            agent_signature: signed.signature.clone(),
            key_id: key.key_id,
            signed_at,
            signature: pair.sign(text.as_bytes())?,
            error_detail: String::new(),
        })
    }

    async fn key(&self, now: Timestamp) -> Result<ReportKey, SigningError> {
        if let Some(key) = self.store.read(keys::found_in_use).await? {
            return Ok(key);
        }
        let sealer = self.sealer.clone();
        self.store
            .commit(move |rows| keys::in_use(rows, &sealer, now))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> AgentArn {
        "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0"
            .parse()
            .unwrap()
    }

    fn signed(pair: &KeyPair, key: &PublicKey) -> ReportSigned {
        let execution = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/\
                         execution/exec-0123456789abcdef1";
        let statement = ReportStatement {
            execution: execution.parse().unwrap(),
            objects: 3,
            entries: 7,
            root: Digest::of(b"root"),
        };
        let text = statement.signed_by_agent(&agent(), &key.fingerprint());
        ReportSigned {
            execution_arn: execution.to_owned(),
            objects: 3,
            entries: 7,
            root: statement.root.as_bytes().to_vec(),
            signature: pair.sign(text.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn only_what_the_agent_signed_is_countersigned() {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = PublicKey::of_key_pair(&pair);
        let good = signed(&pair, &key);
        let proven = checked(&good, &agent(), &key).unwrap();
        let statement = &proven.statement;
        assert_eq!((statement.objects, statement.entries), (3, 7));
        assert_eq!(proven.key_id, key.fingerprint());
        let wrong = |change: &dyn Fn(&mut ReportSigned)| {
            let mut message = good.clone();
            change(&mut message);
            checked(&message, &agent(), &key).unwrap_err()
        };
        assert_eq!(wrong(&|m| m.entries = 8), Refusal::WrongSignature);
        assert_eq!(wrong(&|m| m.root[0] ^= 1), Refusal::WrongSignature);
        assert_eq!(wrong(&|m| m.signature.clear()), Refusal::WrongSignature);
        assert_eq!(wrong(&|m| m.root.push(0)), Refusal::Malformed);
        assert_eq!(wrong(&|m| m.execution_arn.clear()), Refusal::Malformed);
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let other = PublicKey::of_key_pair(&other);
        let refused = checked(&good, &agent(), &other).unwrap_err();
        assert_eq!(refused, Refusal::WrongSignature);
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_replaced_by_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let state = crate::state::State::open(directory.path(), Timestamp::now()).unwrap();
        let signer = Countersigner::new(state.store.clone(), state.sealer.clone());
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = PublicKey::of_key_pair(&pair);
        let proven = checked(&signed(&pair, &key), &agent(), &key).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = signer.sign(&proven, at(100)).await.unwrap();
        let early = signer.sign(&proven, at(50)).await.unwrap();
        assert_eq!(first.key_id, early.key_id);
        assert_eq!(early.signed_at, first.signed_at, "not before its key");
        let sealer = state.sealer.clone();
        let commit = state
            .store
            .commit(move |rows| keys::rotated(rows, &sealer, at(200)));
        let new: Result<String, SigningError> = commit.await;
        let new = new.unwrap();
        let second = signer.sign(&proven, at(300)).await.unwrap();
        assert_eq!(second.key_id, new);
        assert_ne!(second.key_id, first.key_id);
        let read: Result<_, StoreError> = state.store.read(keys::published).await;
        let published = read.unwrap().keys;
        let ends: Vec<_> = published
            .iter()
            .map(|key| (key.key_id.as_str(), key.not_after.as_deref()))
            .collect();
        let retired = Some("1970-01-01T00:03:20Z");
        assert_eq!(
            ends,
            [(new.as_str(), None), (first.key_id.as_str(), retired)]
        );
    }
}
