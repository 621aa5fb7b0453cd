//! Who the agent is: its key pair, and after activation its certificate, ARN and trust anchors.

mod signer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datasync_model::AgentArn;
use datasync_proto::{Activated, Generation};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use x509_parser::extensions::GeneralName;
use zeroize::Zeroizing;

use crate::state::{self, IDENTITY, StateDir, StateError};
pub(crate) use signer::Signer;

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const ANCHORS: &str = "control-ca.pem";
const RECORD: &str = "agent.json";
const RECORD_VERSION: u32 = 1;

/// An identity that cannot be loaded, made or changed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// A key pair or a request cannot be made.
    #[error("cannot make the agent's key pair or certificate request: {0}")]
    Crypto(#[from] rcgen::Error),
    /// The directory holds something that cannot be used.
    #[error(
        "{path} is damaged: {reason}; restore it, or remove the identity directory and activate the agent anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Control's activation cannot be used.
    #[error("control sent an unusable activation: {0}")]
    Activation(String),
}

/// What proves the agent to control. `Debug` shows no key.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: Arc<Zeroizing<String>>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

/// `agent.json`: exists once the agent is activated, written last.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    version: u32,
    agent_arn: AgentArn,
    /// The desired state worked by: incarnation and generation.
    #[serde(default)]
    applied: Option<(String, u64)>,
}

/// An activated agent's papers.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    record: Record,
    pub(crate) credential: Credential,
    pub(crate) anchors_pem: String,
    validity: Validity,
}

/// The life of a certificate, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Validity {
    not_before: u64,
    not_after: u64,
}

impl Validity {
    fn of(chain_pem: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(chain_pem.as_bytes())
            .map_err(|e| format!("no certificate: {e}"))?;
        let (_, certificate) =
            x509_parser::parse_x509_certificate(&der).map_err(|e| e.to_string())?;
        let validity = certificate.validity();
        let seconds = |time: i64| u64::try_from(time).map_err(|e| e.to_string());
        Ok(Self {
            not_before: seconds(validity.not_before.timestamp())?,
            not_after: seconds(validity.not_after.timestamp())?,
        })
    }

    /// Two thirds into the life.
    fn renew_at(self) -> u64 {
        let life = self.not_after.saturating_sub(self.not_before);
        self.not_before + life / 3 * 2
    }
}

/// Whether an agent was activated with the state directory at `root`, readable or not.
pub(crate) fn is_there(root: &Path) -> bool {
    root.join(IDENTITY).join(RECORD).exists()
}

impl Membership {
    pub(crate) fn arn(&self) -> &AgentArn {
        &self.record.agent_arn
    }

    pub(crate) fn applied(&self) -> Option<Generation> {
        self.record
            .applied
            .as_ref()
            .map(|(incarnation, generation)| Generation {
                incarnation: incarnation.clone(),
                generation: *generation,
            })
    }

    /// How long until the certificate should be renewed; zero if that is due.
    pub(crate) fn renewal_in(&self, now: SystemTime) -> Duration {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(self.validity.renew_at()).saturating_sub(now)
    }

    /// Whether the certificate is good no more.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(self.validity.not_after) < now
    }
}

/// The identity directory's content.
#[derive(Debug)]
pub(crate) struct Identity {
    state: Arc<StateDir>,
    subject: String,
    key_pem: Arc<Zeroizing<String>>,
    membership: Option<Membership>,
    /// For whoever looks on.
    certificate_end: watch::Sender<Option<u64>>,
}

impl Identity {
    /// Loads the identity; makes a key pair if there is none. `subject` names the machine in
    /// certificate requests.
    pub(crate) fn load_or_create(
        state: Arc<StateDir>,
        subject: &str,
    ) -> Result<Self, IdentityError> {
        let path = |name: &str| state.path(IDENTITY).join(name);
        let record = state::read_optional(&path(RECORD))?;
        let key = state::read_optional(&path(KEY))?;
        let key_pem = match (key, &record) {
            (Some(pem), _) => {
                KeyPair::from_pem(&pem).map_err(|e| damaged(path(KEY), e))?;
                Arc::new(Zeroizing::new(pem))
            }
            (None, Some(_)) => return Err(damaged(path(KEY), "missing")),
            (None, None) => create_key(&state)?,
        };
        let membership = match record {
            None => None,
            Some(text) => Some(load_membership(&state, &text, Arc::clone(&key_pem))?),
        };
        let end = membership.as_ref().map(|m| m.validity.not_after);
        Ok(Self {
            certificate_end: watch::Sender::new(end),
            subject: subject.to_owned(),
            key_pem,
            membership,
            state,
        })
    }

    pub(crate) fn membership(&self) -> Option<&Membership> {
        self.membership.as_ref()
    }

    /// When the certificate ends, in seconds since 1970; `None` without one.
    pub(crate) fn certificate_end(&self) -> watch::Receiver<Option<u64>> {
        self.certificate_end.subscribe()
    }

    /// DER of a request for the agent's key.
    pub(crate) fn certificate_request(&self) -> Result<Vec<u8>, IdentityError> {
        let key = KeyPair::from_pem(&self.key_pem)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.subject.as_str());
        Ok(params.serialize_request(&key)?.der().to_vec())
    }

    /// Keeps what control issued. The agent is activated once this returns.
    pub(crate) fn activate(&mut self, activated: &Activated) -> Result<(), IdentityError> {
        let unusable = |reason: String| IdentityError::Activation(reason);
        let agent_arn: AgentArn = activated
            .agent_arn
            .parse()
            .map_err(|e: datasync_model::ArnError| unusable(e.to_string()))?;
        let record = Record {
            version: RECORD_VERSION,
            agent_arn,
            applied: None,
        };
        self.keep_papers(&activated.certificate_chain, &activated.trust_anchors)?;
        self.adopt(
            record,
            activated.certificate_chain.clone(),
            activated.trust_anchors.clone(),
        )
    }

    /// Keeps a renewed certificate.
    pub(crate) fn renew(
        &mut self,
        chain_pem: &str,
        anchors_pem: &str,
    ) -> Result<(), IdentityError> {
        let Some(membership) = &self.membership else {
            return Err(IdentityError::Activation(
                "the agent is not activated".to_owned(),
            ));
        };
        let record = membership.record.clone();
        self.keep_papers(chain_pem, anchors_pem)?;
        self.adopt(record, chain_pem.to_owned(), anchors_pem.to_owned())
    }

    /// Remembers which desired state the agent works by.
    pub(crate) fn apply_generation(
        &mut self,
        generation: &Generation,
    ) -> Result<(), IdentityError> {
        let Some(membership) = &mut self.membership else {
            return Ok(());
        };
        let applied = (generation.incarnation.clone(), generation.generation);
        if membership.record.applied.as_ref() == Some(&applied) {
            return Ok(());
        }
        let record = Record {
            applied: Some(applied),
            ..membership.record.clone()
        };
        write_record(&self.state, &record)?;
        membership.record = record;
        Ok(())
    }

    /// Forgets the activation and makes a new key pair.
    pub(crate) fn deactivate(&mut self) -> Result<(), IdentityError> {
        let path = |name: &str| self.state.path(IDENTITY).join(name);
        // The record goes first: without it the rest means nothing.
        for name in [RECORD, CERTIFICATE, ANCHORS, KEY] {
            state::remove_file(&path(name))?;
        }
        self.membership = None;
        self.certificate_end.send_replace(None);
        self.key_pem = create_key(&self.state)?;
        Ok(())
    }

    fn keep_papers(&self, chain_pem: &str, anchors_pem: &str) -> Result<(), IdentityError> {
        Validity::of(chain_pem).map_err(IdentityError::Activation)?;
        crate::link::Trust::anchors(anchors_pem)
            .map_err(|e| IdentityError::Activation(e.to_string()))?;
        let path = |name: &str| self.state.path(IDENTITY).join(name);
        state::write_atomically(&path(ANCHORS), anchors_pem.as_bytes())?;
        state::write_atomically(&path(CERTIFICATE), chain_pem.as_bytes())?;
        Ok(())
    }

    fn adopt(
        &mut self,
        record: Record,
        chain_pem: String,
        anchors_pem: String,
    ) -> Result<(), IdentityError> {
        let validity = Validity::of(&chain_pem).map_err(IdentityError::Activation)?;
        write_record(&self.state, &record)?;
        self.certificate_end.send_replace(Some(validity.not_after));
        self.membership = Some(Membership {
            record,
            credential: Credential {
                chain_pem,
                key_pem: Arc::clone(&self.key_pem),
            },
            anchors_pem,
            validity,
        });
        Ok(())
    }
}

/// What an activated agent on `state_dir` knows control by, in PEM; `None` if there is none.
///
/// # Errors
/// If the directory cannot be read.
pub(crate) fn kept_anchors(state_dir: &Path) -> Result<Option<String>, StateError> {
    let identity = state_dir.join(IDENTITY);
    match state::read_optional(&identity.join(RECORD))? {
        Some(_) => state::read_optional(&identity.join(ANCHORS)),
        None => Ok(None),
    }
}

/// The agent that a certificate of control's names: the URI of its subject alternative name.
///
/// # Errors
/// [`IdentityError::Activation`] if it names none, or several.
pub(crate) fn agent_named_in(chain_pem: &str) -> Result<AgentArn, IdentityError> {
    let unusable = |reason: String| IdentityError::Activation(reason);
    let der = CertificateDer::from_pem_slice(chain_pem.as_bytes())
        .map_err(|e| unusable(format!("no certificate: {e}")))?;
    let (_, certificate) =
        x509_parser::parse_x509_certificate(&der).map_err(|e| unusable(e.to_string()))?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|e| unusable(e.to_string()))?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let [uri] = uris[..] else {
        return Err(unusable(format!(
            "the certificate names {} agents, not one",
            uris.len()
        )));
    };
    uri.parse()
        .map_err(|e: datasync_model::ArnError| unusable(e.to_string()))
}

fn damaged(path: PathBuf, reason: impl std::fmt::Display) -> IdentityError {
    IdentityError::Damaged {
        path,
        reason: reason.to_string(),
    }
}

fn create_key(state: &StateDir) -> Result<Arc<Zeroizing<String>>, IdentityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let pem = Zeroizing::new(key.serialize_pem());
    state::write_atomically(&state.path(IDENTITY).join(KEY), pem.as_bytes())?;
    Ok(Arc::new(pem))
}

fn write_record(state: &StateDir, record: &Record) -> Result<(), StateError> {
    let path = state.path(IDENTITY).join(RECORD);
    let json = serde_json::to_vec_pretty(record)
        .map_err(|e| StateError::new("encode", &path, e.into()))?;
    state::write_atomically(&path, &json)
}

fn load_membership(
    state: &StateDir,
    record: &str,
    key_pem: Arc<Zeroizing<String>>,
) -> Result<Membership, IdentityError> {
    let path = |name: &str| state.path(IDENTITY).join(name);
    let record: Record = serde_json::from_str(record).map_err(|e| damaged(path(RECORD), e))?;
    if record.version != RECORD_VERSION {
        let reason = format!("version {} is not {RECORD_VERSION}", record.version);
        return Err(damaged(path(RECORD), reason));
    }
    let read = |name: &str| -> Result<String, IdentityError> {
        state::read_optional(&path(name))?.ok_or_else(|| damaged(path(name), "missing"))
    };
    let chain_pem = read(CERTIFICATE)?;
    let anchors_pem = read(ANCHORS)?;
    let validity = Validity::of(&chain_pem).map_err(|e| damaged(path(CERTIFICATE), e))?;
    Ok(Membership {
        record,
        credential: Credential { chain_pem, key_pem },
        anchors_pem,
        validity,
    })
}

#[cfg(test)]
mod tests;
