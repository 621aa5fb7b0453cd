//! Activation keys in the store: issued, claimed, waited for. CreateAgent consumes them.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datasync_model::{ActivationKey, AgentArn, Home, KEY_LIFETIME_SECONDS, UniqueId};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::ca::PublicKey;
use crate::records::{ActivationKeyRecord, Agent, AgentCertificate, Claim, Tags, hash_of};
use crate::store::{Store, StoreError, Transaction};

/// Keys that machines asked for and that may be live at a time. An operator's keys have as many
/// places of their own.
const KEYS_MAX: usize = 1000;
/// Of these, keys that one host or network asked for: a stranger cannot take every place.
const KEYS_PER_SOURCE_MAX: usize = 100;
/// How long a used or dead key's row is kept, for machines that ask for their certificate again.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
const TICKET_BYTES: usize = 32;

/// Why enrollment goes no further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrollmentError {
    #[error("there is no such activation key, or it has expired or was used: get a new one")]
    NoSuchKey,
    #[error("the activation key was claimed by another machine: get a new one")]
    Taken,
    #[error("nobody waits with this ticket, or its key has expired: ask for a new key")]
    NoSuchTicket,
    #[error("this machine's key pair belongs to {0}: delete that agent to activate it anew")]
    AlreadyAgent(AgentArn),
    #[error("no agent was activated with this key pair: the agent was deleted")]
    NoSuchAgent,
    #[error("too many activation keys are waiting to be used: try again later")]
    TooMany,
    #[error("too many activation keys from this address are waiting to be used: try again later")]
    TooManyFromSource,
    #[error("{0}")]
    Request(String),
    #[error("the system's random source failed")]
    Random,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key that was just made, and when it dies.
#[derive(Debug)]
pub(crate) struct NewKey {
    pub(crate) key: ActivationKey,
    pub(crate) expires: Timestamp,
}

/// A machine that wants to become an agent.
pub(super) struct Claimant {
    public_key: PublicKey,
    certificate_request: Vec<u8>,
    agent_version: String,
    ticket: [u8; TICKET_BYTES],
}

impl Claimant {
    pub(super) fn new(
        public_key: PublicKey,
        certificate_request: Vec<u8>,
        agent_version: String,
    ) -> Result<Self, EnrollmentError> {
        Ok(Self {
            public_key,
            certificate_request,
            agent_version,
            ticket: random()?,
        })
    }

    /// The secret that the machine waits with.
    pub(super) fn ticket(&self) -> Vec<u8> {
        self.ticket.to_vec()
    }

    fn claim(&self) -> Claim {
        Claim {
            certificate_request: STANDARD.encode(&self.certificate_request),
            public_key_fingerprint: self.public_key.fingerprint(),
            ticket_sha256: ticket_hash(&self.ticket),
            agent_version: self.agent_version.clone(),
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], EnrollmentError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| EnrollmentError::Random)?;
    Ok(bytes)
}

fn ticket_hash(ticket: &[u8]) -> String {
    hex::encode(Sha256::digest(ticket))
}

/// Whom a key is issued to.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// An operator, beforehand, for a machine that will claim it. With a name, the claim itself
    /// makes the agent.
    Operator { agent_name: Option<String> },
    /// A machine that waits for it, at this host or network.
    Machine { claim: Claim, from: IpAddr },
}

/// Issues a key.
///
/// # Errors
/// [`EnrollmentError::TooMany`] and [`EnrollmentError::TooManyFromSource`], or the store's.
pub(crate) async fn issue(
    store: &Store,
    origin: Origin,
    now: Timestamp,
) -> Result<NewKey, EnrollmentError> {
    let (agent_name, claim, requested_from) = match origin {
        Origin::Operator { agent_name } => (agent_name, None, None),
        Origin::Machine { claim, from } => (None, Some(claim), Some(from)),
    };
    let key = ActivationKey::from_random(random()?);
    let lifetime = i64::try_from(KEY_LIFETIME_SECONDS).unwrap_or(i64::MAX);
    let expires = now + SignedDuration::from_secs(lifetime);
    let record = ActivationKeyRecord {
        key_sha256: hash_of(&key),
        expires_at_ms: expires.as_millisecond(),
        agent_name,
        requested_from,
        claim,
        consumed_by: None,
    };
    store
        .commit(move |rows| {
            let live = sweep(rows, now)?;
            let from = record.requested_from;
            let count = |fits: &dyn Fn(&Option<IpAddr>) -> bool| {
                live.iter().filter(|source| fits(source)).count()
            };
            if count(&|source| source.is_some() == from.is_some()) >= KEYS_MAX {
                return Err(EnrollmentError::TooMany);
            }
            if from.is_some() && count(&|source| *source == from) >= KEYS_PER_SOURCE_MAX {
                return Err(EnrollmentError::TooManyFromSource);
            }
            if let Some(claim) = &record.claim {
                refuse_agents_key(rows, &claim.public_key_fingerprint)?;
            }
            Ok(rows.insert(&record)?)
        })
        .await?;
    Ok(NewKey { key, expires })
}

/// Deletes rows of keys that are long dead; says who asked for those that are live.
fn sweep(rows: &Transaction<'_>, now: Timestamp) -> Result<Vec<Option<IpAddr>>, StoreError> {
    let now_ms = now.as_millisecond();
    let oldest_ms = (now - KEPT).as_millisecond();
    let mut live = Vec::new();
    for row in rows.list::<ActivationKeyRecord>(None, usize::MAX)? {
        if row.record.is_live(now_ms) {
            live.push(row.record.requested_from);
        } else if row.record.expires_at_ms < oldest_ms {
            rows.delete::<ActivationKeyRecord>(&row.record.key_sha256, row.version)?;
        }
    }
    Ok(live)
}

pub(super) async fn request(
    store: &Store,
    claimant: Claimant,
    from: IpAddr,
    now: Timestamp,
) -> Result<NewKey, EnrollmentError> {
    let origin = Origin::Machine {
        claim: claimant.claim(),
        from,
    };
    issue(store, origin, now).await
}

/// The agent that a key pair belongs to.
pub(crate) fn agent_with_key(
    rows: &Transaction<'_>,
    fingerprint: &str,
) -> Result<Option<AgentArn>, StoreError> {
    let agent = rows.agent_by_key(fingerprint)?;
    Ok(agent.map(|row| row.record.arn))
}

/// One key pair is one agent: renewal finds the agent by it.
fn refuse_agents_key(rows: &Transaction<'_>, fingerprint: &str) -> Result<(), EnrollmentError> {
    match agent_with_key(rows, fingerprint)? {
        Some(agent) => Err(EnrollmentError::AlreadyAgent(agent)),
        None => Ok(()),
    }
}

/// Binds a key that was issued beforehand to a machine. A machine that lost the answer may claim
/// again.
pub(super) async fn claim(
    store: &Store,
    key: &ActivationKey,
    claimant: Claimant,
    home: &Home,
    now: Timestamp,
) -> Result<(), EnrollmentError> {
    let (hash, claim, home) = (hash_of(key), claimant.claim(), home.clone());
    let id = UniqueId::from_random(random()?);
    store
        .commit(move |rows| {
            let mut row = rows
                .get::<ActivationKeyRecord>(&hash)?
                .filter(|row| now.as_millisecond() < row.record.expires_at_ms)
                .ok_or(EnrollmentError::NoSuchKey)?;
            let fingerprint = claim.public_key_fingerprint.clone();
            match &row.record.claim {
                Some(earlier) if earlier.public_key_fingerprint != fingerprint => {
                    return Err(EnrollmentError::Taken);
                }
                Some(_) => {}
                None => refuse_agents_key(rows, &fingerprint)?,
            }
            row.record.claim = Some(claim);
            match (&row.record.consumed_by, row.record.agent_name.clone()) {
                (Some(agent), _) => bind_agent(rows, agent, fingerprint)?,
                (None, Some(name)) => {
                    let agent = AgentArn::new(&home, id);
                    rows.insert(&Agent {
                        arn: agent.clone(),
                        name: Some(name),
                        created_at_ms: now.as_millisecond(),
                        public_key_fingerprint: Some(fingerprint),
                        tags: Tags::new(),
                    })?;
                    row.record.consumed_by = Some(agent);
                }
                (None, None) => {}
            }
            Ok(rows.update(&row)?)
        })
        .await
}

/// CreateAgent came before the claim: the agent gets its key now.
fn bind_agent(
    rows: &Transaction<'_>,
    agent: &AgentArn,
    fingerprint: String,
) -> Result<(), EnrollmentError> {
    let mut row = rows
        .get::<Agent>(agent.id())?
        .ok_or(EnrollmentError::NoSuchKey)?;
    match &row.record.public_key_fingerprint {
        Some(known) if *known == fingerprint => Ok(()),
        Some(_) => Err(EnrollmentError::Taken),
        None => {
            row.record.public_key_fingerprint = Some(fingerprint);
            Ok(rows.update(&row)?)
        }
    }
}

/// Where a waiting machine stands.
pub(super) enum Waiting {
    NotYet,
    Activated { agent: AgentArn, key: PublicKey },
}

pub(super) async fn waiting(
    store: &Store,
    ticket: &[u8],
    now: Timestamp,
) -> Result<Waiting, EnrollmentError> {
    let hash = ticket_hash(ticket);
    store
        .read(move |rows| {
            let record = rows
                .list_children::<ActivationKeyRecord>(&hash, None, 1)?
                .pop()
                .map(|row| row.record)
                .ok_or(EnrollmentError::NoSuchTicket)?;
            let (Some(agent), Some(claim)) = (&record.consumed_by, &record.claim) else {
                return if record.is_live(now.as_millisecond()) {
                    Ok(Waiting::NotYet)
                } else {
                    Err(EnrollmentError::NoSuchTicket)
                };
            };
            let row = rows.get::<Agent>(agent.id())?;
            let known = row.and_then(|row| row.record.public_key_fingerprint);
            if known.as_ref() != Some(&claim.public_key_fingerprint) {
                return Err(EnrollmentError::NoSuchTicket);
            }
            let key = STANDARD
                .decode(&claim.certificate_request)
                .map_err(|error| EnrollmentError::Request(error.to_string()))
                .and_then(|der| {
                    PublicKey::of_request(&der)
                        .map_err(|error| EnrollmentError::Request(error.to_string()))
                })?;
            Ok(Waiting::Activated {
                agent: agent.clone(),
                key,
            })
        })
        .await
}

/// The agent that was activated with `key`.
pub(super) async fn agent_of(store: &Store, key: &PublicKey) -> Result<AgentArn, EnrollmentError> {
    let fingerprint = key.fingerprint();
    store
        .read(move |rows| agent_with_key(rows, &fingerprint)?.ok_or(EnrollmentError::NoSuchAgent))
        .await
}

/// Remembers which certificate an agent is given.
pub(super) async fn remember(store: &Store, issued: AgentCertificate) -> Result<(), StoreError> {
    let job = move |rows: &Transaction<'_>| match rows.get::<AgentCertificate>(&issued.agent)? {
        Some(mut row) => {
            row.record = issued;
            rows.update(&row)
        }
        None => rows.insert(&issued),
    };
    store.commit(job).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(number: usize) -> Claim {
        Claim {
            certificate_request: String::new(),
            public_key_fingerprint: format!("key-{number}"),
            ticket_sha256: format!("ticket-{number}"),
            agent_version: String::new(),
        }
    }

    #[tokio::test]
    async fn one_address_cannot_take_every_place() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), "test").unwrap();
        let now = Timestamp::now();
        let ask = async |number: usize, last: u8| {
            let origin = Origin::Machine {
                claim: claim(number),
                from: IpAddr::from([192, 0, 2, last]),
            };
            issue(&store, origin, now).await
        };
        for number in 0..KEYS_PER_SOURCE_MAX {
            ask(number, 1).await.unwrap();
        }
        let refused = ask(KEYS_PER_SOURCE_MAX, 1).await;
        assert!(matches!(refused, Err(EnrollmentError::TooManyFromSource)));
        ask(KEYS_PER_SOURCE_MAX + 1, 2).await.unwrap();
        // Once they are dead, the address may ask again.
        let later = now + SignedDuration::from_hours(1);
        let origin = Origin::Machine {
            claim: claim(0),
            from: IpAddr::from([192, 0, 2, 1]),
        };
        issue(&store, origin, later).await.unwrap();
    }

    #[tokio::test]
    async fn strangers_leave_the_operators_places_free() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), "test").unwrap();
        let now = Timestamp::now();
        store
            .commit(move |rows| {
                for number in 0..KEYS_MAX {
                    let high = u8::try_from(number / KEYS_PER_SOURCE_MAX).unwrap();
                    rows.insert(&ActivationKeyRecord {
                        key_sha256: format!("key-{number}"),
                        expires_at_ms: now.as_millisecond() + 1000,
                        agent_name: None,
                        requested_from: Some(IpAddr::from([10, 0, 0, high])),
                        claim: Some(claim(number)),
                        consumed_by: None,
                    })?;
                }
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        let origin = Origin::Machine {
            claim: claim(KEYS_MAX),
            from: IpAddr::from([192, 0, 2, 1]),
        };
        let refused = issue(&store, origin, now).await;
        assert!(matches!(refused, Err(EnrollmentError::TooMany)));
        issue(&store, Origin::Operator { agent_name: None }, now)
            .await
            .unwrap();
    }
}
