//! `datasync-control ca rotate` and `ca status`: one CA takes the place of another, step by step,
//! while control serves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::ca::rotation::{NotYet, Stage, Standing, Step, lacks, next_step};
use crate::ca::{AuthoritiesError, Authority, CaError, fingerprint_of_pem};
use crate::records::{Agent, AgentCertificate, AuthorityRotation, SharedAuthority};
use crate::state::{State, StateError, StatePlace};
use crate::store::{SealError, Sealer, StoreError, Transaction};

/// Rows read at a time.
const BATCH: usize = 100;
/// Agents that a status names.
const NAMED_MAX: usize = 20;

/// Why a step cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum CaRotationError {
    /// It is too early.
    #[error("not yet: controls notice the present stage until {0}; try again then")]
    Settling(Timestamp),
    /// Some agents need what the step would end.
    #[error("not yet: {0}")]
    Agents(Lacking),
    /// The state, its rows or its keys.
    #[error("{0}")]
    State(String),
}

macro_rules! state_errors {
    ($($error:ty),+) => {$(
        impl From<$error> for CaRotationError {
            fn from(error: $error) -> Self {
                Self::State(error.to_string())
            }
        }
    )+};
}
state_errors!(AuthoritiesError, CaError, SealError, StateError, StoreError);

/// Agents that are not ready for the next step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    count: usize,
    /// The first of them.
    named: Vec<String>,
}

impl Lacking {
    fn add(&mut self, agent: &Agent) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(agent.arn.to_string());
        }
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} agent(s) have not renewed their certificates; they do so as soon as they are \
             connected, or else their certificates must end, or the agents be deleted:",
            self.count
        )?;
        for agent in &self.named {
            write!(f, " {agent}")?;
        }
        if self.named.len() < self.count {
            f.write_str(" …")?;
        }
        Ok(())
    }
}

/// Where the CA stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaStatus {
    /// SHA-256 of the present CA's certificate.
    present: String,
    present_ends: Timestamp,
    rotation: Option<(Standing, String)>,
    lacking: Lacking,
}

impl fmt::Display for CaStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "present CA: {} (until {})",
            self.present, self.present_ends
        )?;
        let Some((Standing { stage, since }, next)) = &self.rotation else {
            return f.write_str("\nno rotation is under way");
        };
        let stage = match stage {
            Stage::Introduced => {
                "introduced: both are trusted, the present one issues. Give clients of the API and \
                 agents to come what `ca show` prints, then run `ca rotate`"
            }
            Stage::Issuing => {
                "issuing: both are trusted, the next one issues. Run `ca rotate` to forget the \
                 present one"
            }
        };
        write!(f, "\nnext CA: {next}\n{stage}, since {since}")?;
        match self.lacking.count {
            0 => f.write_str("\nevery agent is ready for the next step"),
            _ => write!(f, "\n{}", self.lacking),
        }
    }
}

/// Takes the next step of a rotation, or begins one, if no agent loses its way by it.
///
/// `certificate_lifetime` is that of agents' certificates: those that releases before this one
/// issued have ended so long after the rotation began.
///
/// # Errors
/// [`CaRotationError`]; then nothing has changed.
pub async fn rotate_ca(
    place: impl Into<StatePlace>,
    certificate_lifetime: Duration,
) -> Result<CaStatus, CaRotationError> {
    let place = place.into();
    let state = State::open(place.clone(), Timestamp::now())?;
    let now = Timestamp::now();
    let found = look(&state, certificate_lifetime, now).await?;
    let standing = found.rotation.as_ref().map(|(standing, _)| *standing);
    match next_step(standing, found.lacking.count, now) {
        Ok(Step::Introduce) => introduce(&state, now).await?,
        Ok(Step::Issue) => let_issue(&state, now).await?,
        Ok(Step::Finish) => finish(&state, now).await?,
        Err(NotYet::Settling { until }) => return Err(CaRotationError::Settling(until)),
        Err(NotYet::Agents(_)) => return Err(CaRotationError::Agents(found.lacking)),
    }
    let state = State::open(place, now)?;
    look(&state, certificate_lifetime, now).await
}

/// Where a rotation stands.
///
/// # Errors
/// [`CaRotationError::State`].
pub async fn ca_status(
    place: impl Into<StatePlace>,
    certificate_lifetime: Duration,
) -> Result<CaStatus, CaRotationError> {
    let now = Timestamp::now();
    let state = State::open(place, now)?;
    look(&state, certificate_lifetime, now).await
}

async fn look(
    state: &State,
    certificate_lifetime: Duration,
    now: Timestamp,
) -> Result<CaStatus, CaRotationError> {
    let present = state.authority.clone();
    let job = move |rows: &Transaction<'_>| {
        let rotation = rows.get::<AuthorityRotation>(AuthorityRotation::ID)?;
        let mut status = CaStatus {
            present: present.fingerprint(),
            present_ends: present.not_after(),
            rotation: None,
            lacking: Lacking::default(),
        };
        if let Some(rotation) = rotation.map(|row| row.record) {
            let next = fingerprint_of_pem(&rotation.certificate_pem)?;
            let began = Timestamp::from_millisecond(rotation.began_ms).unwrap_or_default();
            let unknown_end = began + certificate_lifetime;
            let stage = rotation.standing().stage;
            for_each_agent(rows, |agent, certificate| {
                if lacks(stage, &next, certificate, unknown_end, now) {
                    status.lacking.add(agent);
                }
            })?;
            status.rotation = Some((rotation.standing(), next));
        }
        Ok::<_, CaRotationError>(status)
    };
    state.store.read(job).await
}

/// Those that a machine acts as.
fn for_each_agent(
    rows: &Transaction<'_>,
    mut look: impl FnMut(&Agent, Option<&AgentCertificate>),
) -> Result<(), StoreError> {
    let mut after: Option<String> = None;
    loop {
        let agents = rows.list::<Agent>(after.as_deref(), BATCH)?;
        let Some(last) = agents.last() else {
            return Ok(());
        };
        after = Some(last.record.arn.id().to_owned());
        for agent in agents.iter().map(|row| &row.record) {
            if agent.public_key_fingerprint.is_some() {
                let certificate = rows.get::<AgentCertificate>(agent.arn.id())?;
                look(agent, certificate.as_ref().map(|row| &row.record));
            }
        }
    }
}

async fn introduce(state: &State, now: Timestamp) -> Result<(), CaRotationError> {
    let (key, certificate) = Authority::generate(now)?;
    let rotation = AuthorityRotation::introduce(&state.sealer, &key, certificate, now)?;
    let job = move |rows: &Transaction<'_>| Ok::<_, CaRotationError>(rows.insert(&rotation)?);
    state.store.commit(job).await
}

async fn let_issue(state: &State, now: Timestamp) -> Result<(), CaRotationError> {
    let job = move |rows: &Transaction<'_>| {
        if let Some(mut row) = rows.get::<AuthorityRotation>(AuthorityRotation::ID)? {
            row.record.let_issue(now);
            rows.update(&row)?;
        }
        Ok::<_, CaRotationError>(())
    };
    state.store.commit(job).await
}

/// The next CA is the present one. In a state directory its files come first: what is then left of
/// the rotation says nothing more.
async fn finish(state: &State, now: Timestamp) -> Result<(), CaRotationError> {
    let (sealer, present) = (state.sealer.clone(), state.authority.clone());
    let job = move |rows: &Transaction<'_>| {
        let Some(row) = rows.get::<AuthorityRotation>(AuthorityRotation::ID)? else {
            return Ok(());
        };
        take_over(rows, &row.record, &present, &sealer, now)?;
        Ok::<_, CaRotationError>(
            rows.delete::<AuthorityRotation>(AuthorityRotation::ID, row.version)?,
        )
    };
    state.store.commit(job).await
}

fn take_over(
    rows: &Transaction<'_>,
    rotation: &AuthorityRotation,
    present: &Arc<Authority>,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<(), CaRotationError> {
    let key = rotation.open_key(sealer)?;
    let pem = &rotation.certificate_pem;
    match rows.get::<SharedAuthority>(SharedAuthority::ID)? {
        Some(mut shared) => {
            let former = present.fingerprint();
            shared.record = shared.record.followed_by(former, sealer, &key, pem)?;
            rows.update(&shared)?;
        }
        None => Authority::of_pem(present.state_dir(), &key, pem, now)?.put_in_place(&key)?,
    }
    Ok(())
}
