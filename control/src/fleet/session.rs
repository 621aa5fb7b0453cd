//! One agent's session: Hello, then desired state and credentials down, heartbeats and reports up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{AgentArn, AgentStatus, LocationArn};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::session_server::Session;
use datasync_proto::{
    AgentMessage, ControlMessage, Credentials, Deactivate, Heartbeat, HeartbeatAck, Hello,
    HostFacts, Welcome,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::desired::AgentDesired;
use super::inbox::Reported;
use super::lease::Facts;
use super::presence::Superseded;
use super::stream::SessionStream;
use super::{Fleet, Published, lock, wall};
use crate::agent_port::Peer;
use crate::ca::{CaError, CertificateFacts};
use crate::credentials::{CredentialsError, Keys};

/// An agent that does not say Hello by then is sent away.
const HELLO_TIMEOUT: Duration = Duration::from_secs(15);
/// Keys that do not expire are looked up again after this time, and failed look-ups tried again.
const KEYS_RECHECK: Duration = Duration::from_secs(300);
const KEYS_RETRY: Duration = Duration::from_secs(30);
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
    async fn identify(&self, peer: Option<&Peer>) -> Result<Identified, Status> {
        let certificate = peer
            .and_then(|peer| peer.certificate.as_ref())
            .ok_or_else(|| {
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
        Ok(Identified::Known(agent, facts.not_after))
    }
}

enum Identified {
    Known(AgentArn, Timestamp),
    /// A certificate of ours for an agent that exists no more.
    Deleted(AgentArn),
}

#[tonic::async_trait]
impl Session for SessionService {
    type AttachStream = SessionStream;

    async fn attach(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<SessionStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let identified = self.identify(peer.as_ref()).await?;
        let incoming = request.into_inner();
        let fleet = self.fleet.clone();
        let stream = SessionStream::new(move |outgoing| async move {
            let end = match identified {
                Identified::Known(agent, certificate_end) => {
                    run(fleet, agent, certificate_end, incoming, outgoing.clone()).await
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

/// Runs a session to its end. `Ok` means that the agent ended it.
async fn run(
    fleet: Arc<Fleet>,
    agent: AgentArn,
    certificate_end: Timestamp,
    mut incoming: Streaming<AgentMessage>,
    outgoing: Outgoing,
) -> Result<(), Status> {
    let hello = hello(&mut incoming).await?;
    let entered = lock(&fleet.presence).enter(&agent, &hello.boot_nonce);
    let _leave = Leave {
        fleet: fleet.clone(),
        agent: agent.clone(),
        id: entered.id,
    };
    if entered.replaced == Some(Superseded::Cloned) {
        tracing::warn!(
            %agent,
            "two machines use the identity of one agent: the newest session wins; activate the \
             other machine as an agent of its own"
        );
    }
    tracing::info!(%agent, version = hello.agent_version, "agent connected");
    let published = fleet.published.subscribe();
    let mut session = Running {
        certificate_end: end_of(certificate_end),
        silence_end: Instant::now() + fleet.settings.offline_after,
        fleet,
        agent,
        facts: Facts {
            version: hello.agent_version,
            boot_nonce: hello.boot_nonce,
            host: None,
        },
        outgoing,
        published,
        sent: None,
        refresh: HashMap::new(),
        preparing: None,
    };
    session.heard();
    send(&session.outgoing, session.welcome()).await?;
    let result = session.serve(incoming, entered.superseded).await;
    tracing::info!(agent = %session.agent, reason = ?result, "agent's session ended");
    result
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

fn end_of(certificate_end: Timestamp) -> Instant {
    let left = Duration::try_from(certificate_end.duration_since(wall())).unwrap_or_default();
    Instant::now() + left
}

/// Credentials that were looked up, and the desired state that waits for them, if any.
struct Prepared {
    credentials: Vec<(LocationArn, Result<Keys, CredentialsError>)>,
    desired: Option<(AgentDesired, String, u64)>,
}

struct Running {
    fleet: Arc<Fleet>,
    agent: AgentArn,
    facts: Facts,
    outgoing: Outgoing,
    published: watch::Receiver<Arc<Published>>,
    /// What the agent was told last.
    sent: Option<AgentDesired>,
    /// When credentials of a location are due again.
    refresh: HashMap<LocationArn, Instant>,
    preparing: Option<BoxFuture<'static, Prepared>>,
    certificate_end: Instant,
    silence_end: Instant,
}

impl Running {
    fn welcome(&self) -> Down {
        let interval = self.fleet.settings.heartbeat_interval.as_secs();
        Down::Welcome(Welcome {
            heartbeat_interval_seconds: u32::try_from(interval).unwrap_or(u32::MAX),
            now_milliseconds: wall().as_millisecond(),
        })
    }

    async fn serve(
        &mut self,
        mut incoming: Streaming<AgentMessage>,
        mut superseded: oneshot::Receiver<Superseded>,
    ) -> Result<(), Status> {
        let shutdown = self.fleet.shutdown.clone();
        self.reconsider().await?;
        loop {
            let refresh = self.refresh.values().min().copied();
            let refresh = refresh.filter(|_| self.preparing.is_none());
            tokio::select! {
                () = shutdown.cancelled() => {
                    return Err(Status::unavailable("control is stopping: connect again"));
                }
                why = &mut superseded => return Err(superseded_status(why)),
                () = tokio::time::sleep_until(self.certificate_end) => {
                    return Err(Status::unauthenticated("the client certificate has expired"));
                }
                () = tokio::time::sleep_until(self.silence_end) => {
                    return Err(Status::deadline_exceeded("no heartbeat came"));
                }
                message = incoming.message() => match message? {
                    Some(message) => self.receive(message).await?,
                    None => return Ok(()),
                },
                changed = self.published.changed() => {
                    changed.map_err(|_| Status::unavailable("control is stopping"))?;
                    self.reconsider().await?;
                }
                prepared = poll_prepared(&mut self.preparing) => {
                    self.preparing = None;
                    self.deliver(prepared).await?;
                    self.reconsider().await?;
                }
                () = sleep_until_or_forever(refresh) => self.prepare_due(),
            }
        }
    }

    fn heard(&mut self) {
        self.silence_end = Instant::now() + self.fleet.settings.offline_after;
        let returned = lock(&self.fleet.leases).heard(
            &self.agent,
            self.facts.clone(),
            Instant::now().into_std(),
            wall(),
        );
        if returned {
            self.fleet.wake.notify_one();
        }
    }

    async fn receive(&mut self, message: AgentMessage) -> Result<(), Status> {
        match message.message {
            Some(Up::Heartbeat(heartbeat)) => self.heartbeat(&heartbeat).await,
            Some(Up::Execution(observed)) => {
                match observed.report() {
                    Ok(report) => self.report(report),
                    Err(error) => {
                        tracing::warn!(agent = %self.agent, %error, "report not understood");
                    }
                }
                Ok(())
            }
            Some(Up::Probed(probed)) => {
                let result = probed.result();
                let awaited =
                    lock(&self.fleet.probes).answer(&self.agent, &probed.probe_id, result);
                if awaited {
                    self.fleet.wake.notify_one();
                }
                Ok(())
            }
            Some(Up::Applied(generation)) => {
                tracing::debug!(agent = %self.agent, ?generation, "desired state applied");
                Ok(())
            }
            Some(Up::Hello(_)) => Err(Status::invalid_argument("Hello came twice")),
            None => {
                tracing::debug!(agent = %self.agent, "a message of a kind not known here");
                Ok(())
            }
        }
    }

    async fn heartbeat(&mut self, heartbeat: &Heartbeat) -> Result<(), Status> {
        if let Some(host) = &heartbeat.host {
            self.facts.host = Some(host_facts(host));
        }
        match heartbeat.status.parse() {
            Ok(AgentStatus::Online) => self.heard(),
            Ok(AgentStatus::Offline) => {
                tracing::info!(agent = %self.agent, "agent stops");
                lock(&self.fleet.leases).left(&self.agent);
                self.fleet.wake.notify_one();
            }
            Err(error) => return Err(Status::invalid_argument(format!("Heartbeat: {error}"))),
        }
        let ack = HeartbeatAck {
            now_milliseconds: wall().as_millisecond(),
        };
        send(&self.outgoing, Down::HeartbeatAck(ack)).await
    }

    /// Reports count only for executions that this agent was told to run.
    fn report(&self, report: datasync_model::ExecutionReport) {
        let asked = self
            .published
            .borrow()
            .agents
            .get(&self.agent.to_string())
            .is_some_and(|desired| desired.has(&report.execution));
        if !asked {
            tracing::debug!(agent = %self.agent, execution = %report.execution,
                "report of an execution that the agent should not have");
            return;
        }
        let urgent = lock(&self.fleet.inbox).put(Reported {
            agent: self.agent.clone(),
            report,
        });
        if urgent {
            self.fleet.wake.notify_one();
        }
    }

    /// Starts to prepare what is published, if it differs from what the agent was told.
    async fn reconsider(&mut self) -> Result<(), Status> {
        if self.preparing.is_some() {
            return Ok(());
        }
        let published = self.published.borrow_and_update().clone();
        if published.incarnation.is_empty() {
            return Ok(());
        }
        let Some(desired) = published.agents.get(&self.agent.to_string()) else {
            return self.perhaps_deleted().await;
        };
        if self.sent.as_ref() == Some(desired) {
            return Ok(());
        }
        self.prepare(
            desired.stores(),
            Some((
                desired.clone(),
                published.incarnation.clone(),
                published.generation,
            )),
        );
        Ok(())
    }

    /// What is published may be older than the agent's row.
    async fn perhaps_deleted(&mut self) -> Result<(), Status> {
        match self.fleet.rows.agent_key(&self.agent).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                lock(&self.fleet.leases).left(&self.agent);
                deactivate(&self.outgoing).await?;
                Err(Status::not_found("the agent was deleted"))
            }
            Err(error) => {
                tracing::error!(agent = %self.agent, %error, "an agent's row cannot be read");
                Ok(())
            }
        }
    }

    fn prepare_due(&mut self) {
        let now = Instant::now();
        let due = self
            .refresh
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(location, _)| location.clone())
            .collect();
        self.prepare(due, None);
    }

    fn prepare(&mut self, stores: Vec<LocationArn>, desired: Option<(AgentDesired, String, u64)>) {
        let fleet = self.fleet.clone();
        self.preparing = Some(Box::pin(async move {
            let mut credentials = Vec::with_capacity(stores.len());
            for location in stores {
                let keys = fleet.rows.keys_for(&location, wall()).await;
                credentials.push((location, keys));
            }
            Prepared {
                credentials,
                desired,
            }
        }));
    }

    /// Credentials go first: what needs them finds them there.
    async fn deliver(&mut self, prepared: Prepared) -> Result<(), Status> {
        if prepared.desired.is_some() {
            self.refresh.clear();
        }
        for (location, keys) in prepared.credentials {
            let due = match &keys {
                Ok(keys) => keys.life.refresh_at().map_or(KEYS_RECHECK, |at| {
                    Duration::try_from(at.duration_since(wall()))
                        .unwrap_or_default()
                        .max(KEYS_RETRY)
                }),
                Err(_) => KEYS_RETRY,
            };
            self.refresh.insert(location.clone(), Instant::now() + due);
            send(
                &self.outgoing,
                Down::Credentials(credentials_message(&location, keys)),
            )
            .await?;
        }
        if let Some((desired, incarnation, generation)) = prepared.desired {
            let message = desired.message(&incarnation, generation);
            send(&self.outgoing, Down::Desired(message)).await?;
            self.sent = Some(desired);
        }
        Ok(())
    }
}

/// Host facts as they are kept and shown.
fn host_facts(host: &HostFacts) -> serde_json::Value {
    serde_json::json!({
        "hostname": host.hostname,
        "operating_system": host.operating_system,
        "kernel_version": host.kernel_version,
        "cpu_count": host.cpu_count,
        "cpu_percent": host.cpu_percent,
        "load_one": host.load_one,
        "memory_total_bytes": host.memory_total_bytes,
        "memory_available_bytes": host.memory_available_bytes,
        "memory_limit_bytes": host.memory_limit_bytes,
        "process_resident_bytes": host.process_resident_bytes,
        "state_disk_total_bytes": host.state_disk_total_bytes,
        "state_disk_available_bytes": host.state_disk_available_bytes,
        "network_received_bytes": host.network_received_bytes,
        "network_sent_bytes": host.network_sent_bytes,
        "uptime_seconds": host.uptime_seconds,
    })
}

fn superseded_status(why: Result<Superseded, oneshot::error::RecvError>) -> Status {
    match why {
        Ok(Superseded::Cloned) => Status::aborted(
            "another machine with this agent's identity has connected and takes over: if this \
             machine is a copy, remove its state directory and activate it as an agent of its own",
        ),
        Ok(Superseded::Reconnected) | Err(_) => {
            Status::aborted("a newer session of this agent takes over")
        }
    }
}

async fn poll_prepared(preparing: &mut Option<BoxFuture<'static, Prepared>>) -> Prepared {
    match preparing {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until_or_forever(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn credentials_message(
    location: &LocationArn,
    keys: Result<Keys, CredentialsError>,
) -> Credentials {
    let location_arn = location.to_string();
    match keys {
        Ok(keys) => Credentials {
            location_arn,
            access_key_id: keys.access_key_id,
            secret_access_key: keys.secret_access_key.to_string(),
            session_token: keys
                .session_token
                .map(|t| t.to_string())
                .unwrap_or_default(),
            expires_at_seconds: keys.life.expires_at_seconds(),
            error_detail: String::new(),
        },
        Err(error) => {
            tracing::warn!(%location, %error, "no credentials for a location");
            Credentials {
                location_arn,
                error_detail: error.to_string(),
                ..Credentials::default()
            }
        }
    }
}
