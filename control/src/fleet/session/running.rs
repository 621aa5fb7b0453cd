//! A session after its Hello: what came is handled, what changed is sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{AgentArn, AgentStatus, LocationArn};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::{AgentMessage, Heartbeat, HeartbeatAck, Welcome};
use futures::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::messages::{credentials_message, host_facts, superseded_status};
use super::{Outgoing, deactivate, send};
use crate::credentials::{CredentialsError, Keys};
use crate::fleet::desired::AgentDesired;
use crate::fleet::inbox::Reported;
use crate::fleet::lease::Facts;
use crate::fleet::presence::Superseded;
use crate::fleet::{Fleet, Published, lock, wall};

/// Keys that do not expire are looked up again after this time, and failed look-ups tried again.
const KEYS_RECHECK: Duration = Duration::from_secs(300);
const KEYS_RETRY: Duration = Duration::from_secs(30);
/// Keys that expire are not replaced more often than this, however short their life.
const KEYS_REFRESH_MIN: Duration = Duration::from_secs(2);

/// Credentials that were looked up, and the desired state that waits for them, if any.
struct Prepared {
    credentials: Vec<(LocationArn, Result<Keys, CredentialsError>)>,
    desired: Option<(AgentDesired, String, u64)>,
}

pub(super) struct Running {
    fleet: Arc<Fleet>,
    agent: AgentArn,
    facts: Facts,
    outgoing: Outgoing,
    published: watch::Receiver<Arc<Published>>,
    /// What the agent was told last, and in which incarnation.
    sent: Option<(String, AgentDesired)>,
    /// When credentials of a location are due again.
    refresh: HashMap<LocationArn, Instant>,
    preparing: Option<BoxFuture<'static, Prepared>>,
    certificate_end: Instant,
    silence_end: Instant,
}

impl Running {
    pub(super) fn new(
        fleet: Arc<Fleet>,
        agent: AgentArn,
        facts: Facts,
        certificate_end: Instant,
        outgoing: Outgoing,
    ) -> Self {
        Self {
            certificate_end,
            silence_end: Instant::now() + fleet.settings.offline_after,
            published: fleet.published.subscribe(),
            fleet,
            agent,
            facts,
            outgoing,
            sent: None,
            refresh: HashMap::new(),
            preparing: None,
        }
    }

    /// Welcomes the agent and serves it. `Ok` means that the agent ended the session.
    pub(super) async fn run(
        mut self,
        incoming: Streaming<AgentMessage>,
        superseded: oneshot::Receiver<Superseded>,
    ) -> Result<(), Status> {
        self.heard();
        send(&self.outgoing, self.welcome()).await?;
        self.serve(incoming, superseded).await
    }

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
                // Nothing that an older session still holds may come after the newer one's word;
                // messages come last, so that a stream of them holds up nothing else.
                biased;
                why = &mut superseded => return Err(superseded_status(why)),
                () = shutdown.cancelled() => {
                    return Err(Status::unavailable("control is stopping: connect again"));
                }
                () = tokio::time::sleep_until(self.certificate_end) => {
                    return Err(Status::unauthenticated("the client certificate has expired"));
                }
                () = tokio::time::sleep_until(self.silence_end) => {
                    return Err(Status::deadline_exceeded("no heartbeat came"));
                }
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
                message = incoming.message() => match message? {
                    Some(message) => self.receive(message).await?,
                    None => return Ok(()),
                },
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
                lock(&self.fleet.leases).left(&self.agent, Instant::now().into_std());
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
        let told = self.sent.as_ref();
        if told.is_some_and(|(of, told)| *of == published.incarnation && told == desired) {
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
                lock(&self.fleet.leases).left(&self.agent, Instant::now().into_std());
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
                        .max(KEYS_REFRESH_MIN)
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
            self.sent = Some((incarnation, desired));
        }
        Ok(())
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
