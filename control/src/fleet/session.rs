//! One agent's session: Hello, then desired state and credentials down, heartbeats and reports up.

mod countersigning;
mod logs;
mod messages;
mod releases;
mod renewals;
mod running;
mod stores;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{Ability, AgentArn};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::session_server::Session;
use datasync_proto::{AgentMessage, ControlMessage, Deactivate, FetchReleaseRequest, Hello};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::claim::Claim;
use super::lease::Facts;
use super::presence::{Entered, Machine};
use super::stream::SessionStream;
use super::{Fleet, lock, wall};
use crate::agent_port::Peer;
use crate::ca::{CaError, CertificateFacts, PublicKey, fingerprint_of};
use crate::records::Life;
pub(super) use messages::superseded;
use releases::PartStream;
use renewals::Renewals;
use running::Running;

/// An agent that does not say Hello by then is sent away.
const HELLO_TIMEOUT: Duration = Duration::from_secs(15);
/// Lengths of what an agent says of itself.
const NONCE_LENGTH_MAX: usize = 128;
const VERSION_LENGTH_MAX: usize = 256;

/// The gRPC service for activated agents.
#[derive(Debug, Clone)]
pub(crate) struct SessionService {
    fleet: Arc<Fleet>,
}

impl SessionService {
    pub(crate) fn new(fleet: Arc<Fleet>) -> Self {
        Self { fleet }
    }

    /// The agent behind a connection, by its certificate and its row.
    async fn identify(&self, peer: &Peer) -> Result<Identified, Status> {
        let certificate = peer.certificate.as_ref().ok_or_else(|| {
            Status::unauthenticated(
                "this service needs the client certificate that activation issued",
            )
        })?;
        let refuse =
            |error: CaError| Status::unauthenticated(format!("client certificate: {error}"));
        let facts = CertificateFacts::of(certificate).map_err(refuse)?;
        let [uri] = facts.uris.as_slice() else {
            return Err(Status::unauthenticated(
                "the client certificate names no agent",
            ));
        };
        let agent: AgentArn = uri
            .parse()
            .map_err(|error| Status::unauthenticated(format!("client certificate: {error}")))?;
        if facts.not_after <= wall() {
            return Err(Status::unauthenticated(
                "the client certificate has expired: renew it with RenewCertificate",
            ));
        }
        let known = self.fleet.rows.agent_key(&agent).await.map_err(|error| {
            tracing::error!(%agent, %error, "an agent's row cannot be read");
            Status::unavailable("control's store cannot be read: try again later")
        })?;
        match known {
            Some(fingerprint) if fingerprint == facts.public_key.fingerprint() => {}
            Some(_) => {
                return Err(Status::unauthenticated(
                    "the client certificate is not over the key that this agent was activated with",
                ));
            }
            None => return Ok(Identified::Deleted(agent)),
        }
        let life = Life {
            from_ms: facts.not_before.as_millisecond(),
            until_ms: facts.not_after.as_millisecond(),
        };
        Ok(Identified::Known(Box::new(Known {
            agent,
            certificate: fingerprint_of(certificate),
            key: facts.public_key,
            life,
        })))
    }
}

struct Known {
    agent: AgentArn,
    /// SHA-256 of its DER.
    certificate: String,
    key: PublicKey,
    life: Life,
}

enum Identified {
    Known(Box<Known>),
    /// A certificate of ours for an agent that exists no more.
    Deleted(AgentArn),
}

#[tonic::async_trait]
impl Session for SessionService {
    type AttachStream = SessionStream;
    type FetchReleaseStream = PartStream;

    async fn fetch_release(
        &self,
        request: Request<FetchReleaseRequest>,
    ) -> Result<Response<PartStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| Status::internal("the connection has no peer"))?;
        match self.identify(&peer).await? {
            Identified::Known(known) => {
                let asked = request.into_inner();
                releases::parts(self.fleet.clone(), known.agent, &asked).await
            }
            Identified::Deleted(_) => Err(Status::permission_denied("the agent was deleted")),
        }
    }

    async fn attach(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<SessionStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| Status::internal("the connection has no peer"))?;
        let identified = self.identify(&peer).await?;
        let address = peer.address;
        let incoming = request.into_inner();
        let fleet = self.fleet.clone();
        let stream = SessionStream::new(move |outgoing| async move {
            let end = match identified {
                Identified::Known(known) => {
                    let known = *known;
                    let caller = Caller { known, address };
                    run(fleet, caller, incoming, outgoing.clone()).await
                }
                Identified::Deleted(agent) => {
                    tracing::info!(%agent, "a deleted agent connected and is told so");
                    deactivate(&outgoing).await
                }
            };
            if let Err(status) = end {
                // The peer may be gone already: then nobody needs the reason.
                if outgoing.send(Err(status)).await.is_err() {
                    tracing::debug!("a session ended on both sides at once");
                }
            }
        });
        Ok(Response::new(stream))
    }
}

type Outgoing = mpsc::Sender<Result<ControlMessage, Status>>;

async fn send(outgoing: &Outgoing, message: Down) -> Result<(), Status> {
    let message = ControlMessage {
        message: Some(message),
    };
    outgoing
        .send(Ok(message))
        .await
        .map_err(|_| Status::cancelled("the connection is gone"))
}

async fn deactivate(outgoing: &Outgoing) -> Result<(), Status> {
    send(outgoing, Down::Deactivate(Deactivate {})).await
}

async fn hello(incoming: &mut Streaming<AgentMessage>) -> Result<Hello, Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, incoming.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Hello came"))??;
    match first.and_then(|message| message.message) {
        Some(Up::Hello(hello))
            if hello.boot_nonce.len() <= NONCE_LENGTH_MAX
                && hello.agent_version.len() <= VERSION_LENGTH_MAX =>
        {
            Ok(hello)
        }
        Some(Up::Hello(_)) => Err(Status::invalid_argument("Hello: a member is too long")),
        _ => Err(Status::invalid_argument("the first message must be Hello")),
    }
}

/// Those that mean something here, each once.
fn known_abilities(said: &[String]) -> Vec<String> {
    let known = Ability::ALL.iter().map(|ability| ability.as_str());
    known
        .filter(|known| said.iter().any(|said| said == known))
        .map(str::to_owned)
        .collect()
}

/// An agent that proved who it is.
struct Caller {
    known: Known,
    address: SocketAddr,
}

/// Runs a session to its end. `Ok` means that the agent ended it.
async fn run(
    fleet: Arc<Fleet>,
    caller: Caller,
    mut incoming: Streaming<AgentMessage>,
    outgoing: Outgoing,
) -> Result<(), Status> {
    let hello = hello(&mut incoming).await?;
    let Known {
        agent,
        certificate,
        key,
        life,
    } = caller.known;
    let machine = Machine {
        boot_nonce: hello.boot_nonce.clone(),
        address: caller.address,
    };
    let mut facts = Facts {
        certificate: Some(life),
        version: hello.agent_version,
        boot_nonce: hello.boot_nonce,
        abilities: known_abilities(&hello.abilities),
        host: None,
        claimed: 0,
    };
    let claim = Claim::new(&fleet, &agent);
    facts.claimed = claim.take(&facts).await?;
    let entered = match enter(&fleet, &agent, machine) {
        Ok(entered) => entered,
        Err(superseded) => {
            fleet.note_clone(&agent).await;
            return Err(superseded);
        }
    };
    let _leave = Leave {
        fleet: fleet.clone(),
        agent: agent.clone(),
        id: entered.id,
    };
    if let Some(applied) = &hello.applied {
        fleet.note_applied(&agent, applied).await?;
    }
    tracing::info!(%agent, version = facts.version, event = "agent.connected", "agent connected");
    let held = fleet.rows.certificate_shown(&agent, &certificate);
    let held = held.await.map_err(|error| {
        tracing::error!(%agent, %error, "an agent's certificate cannot be looked up");
        Status::unavailable("control's store cannot be used: try again later")
    })?;
    let renewals = Renewals::new(&fleet.authorities, held);
    let session = Running::new(
        fleet,
        (agent.clone(), key),
        facts,
        end_of(life),
        renewals,
        outgoing,
    );
    let result = session.run(incoming, entered.superseded, claim).await;
    tracing::info!(%agent, reason = ?result, event = "agent.disconnected", "agent's session ended");
    result
}

/// Takes the agent's place, or says that another machine has it. Whoever loses is named.
fn enter(fleet: &Fleet, agent: &AgentArn, machine: Machine) -> Result<Entered, Status> {
    let lease = lock(&fleet.leases)
        .live(agent, Instant::now().into_std())
        .map(|lease| lease.facts.boot_nonce.clone());
    let entered = lock(&fleet.presence).enter(agent, machine.clone(), lease.as_deref());
    let (winner, loser) = match &entered {
        Ok(Entered { loser: None, .. }) => return entered.map_err(|_| superseded()),
        Ok(Entered {
            loser: Some(loser), ..
        }) => (&machine, loser),
        Err(lost) => (&lost.winner, &machine),
    };
    tracing::warn!(
        %agent,
        winner = %winner.address,
        winner_boot_nonce = winner.boot_nonce,
        loser = %loser.address,
        loser_boot_nonce = loser.boot_nonce,
        event = "agent.cloned",
        "two machines use the identity of one agent: the one that was started last wins; activate \
         the other one as an agent of its own"
    );
    entered.map_err(|_| superseded())
}

/// Takes the session out of the registry however it ends.
struct Leave {
    fleet: Arc<Fleet>,
    agent: AgentArn,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        lock(&self.fleet.presence).leave(&self.agent, self.id);
    }
}

fn end_of(certificate: Life) -> Instant {
    let left_ms = certificate.until_ms.saturating_sub(wall().as_millisecond());
    Instant::now() + Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
}
