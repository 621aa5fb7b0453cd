//! A session after its Hello: what came is handled, what changed is sent.

use std::sync::Arc;
use std::time::Duration;

use datasync_model::{AgentArn, AgentStatus, ControlAbility, TaskExecutionArn};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::{AgentMessage, DesiredState, Heartbeat, HeartbeatAck, UpdateStatus, Welcome};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::logs::LogWrites;
use super::messages::{bounded_failure, credentials_message, host_facts, superseded_status};
use super::renewals::Renewals;
use super::stores::Stores;
use super::{Outgoing, deactivate, send};
use crate::ca::PublicKey;
use crate::credentials::{CredentialsError, Keys};
use crate::fleet::claim::Claim;
use crate::fleet::desired::NeededStore;
use crate::fleet::inbox::Reported;
use crate::fleet::lease::Facts;
use crate::fleet::presence::Superseded;
use crate::fleet::{Fleet, Published, lock, wall};

/// Keys that do not expire are looked up again after this time, and failed look-ups tried again.
const KEYS_RECHECK: Duration = Duration::from_secs(300);
const KEYS_RETRY: Duration = Duration::from_secs(30);
/// Keys that expire are not replaced more often than this, however short their life.
const KEYS_REFRESH_MIN: Duration = Duration::from_secs(2);

/// Keys that were looked up.
struct Found {
    store: NeededStore,
    keys: Result<Keys, CredentialsError>,
}

pub(super) struct Running {
    pub(super) fleet: Arc<Fleet>,
    pub(super) agent: AgentArn,
    /// Of its certificate.
    pub(super) key: PublicKey,
    facts: Facts,
    /// The newest heartbeat, by the agent's clock.
    beat: Option<u64>,
    /// What it said of its updates, and is written down.
    update: Option<UpdateStatus>,
    pub(super) outgoing: Outgoing,
    published: watch::Receiver<Arc<Published>>,
    /// What the agent was told last.
    sent: Option<DesiredState>,
    stores: Stores,
    /// As many as there are stores at most.
    look_ups: FuturesUnordered<BoxFuture<'static, Found>>,
    log_writes: LogWrites,
    certificate_end: Instant,
    renewals: Renewals,
    silence_end: Instant,
}

impl Running {
    pub(super) fn new(
        fleet: Arc<Fleet>,
        (agent, key): (AgentArn, PublicKey),
        facts: Facts,
        certificate_end: Instant,
        renewals: Renewals,
        outgoing: Outgoing,
    ) -> Self {
        Self {
            certificate_end,
            renewals,
            silence_end: Instant::now() + fleet.settings.offline_after,
            published: fleet.published.subscribe(),
            fleet,
            agent,
            key,
            facts,
            beat: None,
            update: None,
            outgoing,
            sent: None,
            stores: Stores::default(),
            look_ups: FuturesUnordered::new(),
            log_writes: LogWrites::default(),
        }
    }

    /// Welcomes the agent and serves it. `Ok` means that the agent ended the session.
    pub(super) async fn run(
        mut self,
        incoming: Streaming<AgentMessage>,
        superseded: oneshot::Receiver<Superseded>,
        claim: Claim,
    ) -> Result<(), Status> {
        self.heard();
        drop(claim);
        send(&self.outgoing, self.welcome()).await?;
        self.serve(incoming, superseded).await
    }

    fn welcome(&self) -> Down {
        let interval = self.fleet.settings.heartbeat_interval.as_secs();
        Down::Welcome(Welcome {
            heartbeat_interval_seconds: u32::try_from(interval).unwrap_or(u32::MAX),
            now_milliseconds: wall().as_millisecond(),
            abilities: ControlAbility::ALL
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
    }

    async fn serve(
        &mut self,
        mut incoming: Streaming<AgentMessage>,
        mut superseded: oneshot::Receiver<Superseded>,
    ) -> Result<(), Status> {
        let shutdown = self.fleet.shutdown.clone();
        self.tell().await?;
        self.ask_to_renew().await?;
        loop {
            let due = self.stores.next_due();
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
                    self.tell().await?;
                }
                () = self.renewals.changed() => self.ask_to_renew().await?,
                Some(found) = self.look_ups.next() => {
                    self.deliver(found).await?;
                    self.tell().await?;
                }
                () = sleep_until_or_forever(due) => self.look_up_due(),
                kept = self.log_writes.next() => {
                    send(&self.outgoing, Down::LogKept(kept)).await?;
                }
                message = incoming.message() => match message? {
                    Some(message) => self.receive(message).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn ask_to_renew(&mut self) -> Result<(), Status> {
        match self.renewals.due(wall()) {
            Some(message) => send(&self.outgoing, message).await,
            None => Ok(()),
        }
    }

    fn heard(&mut self) {
        self.silence_end = Instant::now() + self.fleet.settings.offline_after;
        let returned = lock(&self.fleet.leases).heard(
            &self.agent,
            self.facts.clone(),
            self.beat,
            (Instant::now().into_std(), wall()),
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
                    Ok(mut report) => {
                        report.result.failure = report.result.failure.map(bounded_failure);
                        if let Some(result) = &mut report.result.report {
                            result.failure = result.failure.take().map(bounded_failure);
                        }
                        self.report(report, observed.epoch);
                    }
                    Err(error) => {
                        tracing::warn!(agent = %self.agent, %error, "report not understood");
                    }
                }
                Ok(())
            }
            Some(Up::Probed(probed)) => {
                let result = probed.result().map_err(bounded_failure);
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
            Some(Up::ReportSigned(signed)) => self.countersign(&signed).await,
            Some(Up::Log(sent)) => {
                self.log_writes.begin(&self.fleet, &self.agent, sent);
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
        self.beat = Some(heartbeat.sent_milliseconds).filter(|sent| *sent > 0);
        if heartbeat.status.parse() == Ok(AgentStatus::Offline) {
            tracing::info!(agent = %self.agent, event = "agent.stopping", "agent stops");
            let now = Instant::now().into_std();
            lock(&self.fleet.leases).left(&self.agent, now);
            self.fleet.wake.notify_one();
        } else {
            // ONLINE, or the word of a newer agent: it is there.
            self.heard();
        }
        let (granted, length) = {
            let leases = lock(&self.fleet.leases);
            (leases.granted(&self.agent), leases.length())
        };
        // Whatever was decided before the heartbeat counted, the agent hears of before its lease is
        // renewed: an execution that is no longer its own above all.
        self.tell().await?;
        let ack = HeartbeatAck {
            now_milliseconds: wall().as_millisecond(),
            lease_from_milliseconds: granted.unwrap_or(0),
            lease_milliseconds: u64::try_from(length.as_millis()).unwrap_or(0),
        };
        send(&self.outgoing, Down::HeartbeatAck(ack)).await?;
        self.note_update(heartbeat.update.as_ref()).await;
        Ok(())
    }

    /// Writes down what the agent says of its updates, if that is news. If it cannot be written, the
    /// next heartbeat says it again.
    async fn note_update(&mut self, said: Option<&UpdateStatus>) {
        let Some(said) = said.filter(|said| self.update.as_ref() != Some(*said)) else {
            return;
        };
        let noted = self.fleet.rows.note_update(&self.agent, said, wall()).await;
        match noted {
            Ok(()) => self.update = Some(said.clone()),
            Err(error) => {
                tracing::error!(agent = %self.agent, %error, "an agent's update cannot be written down");
            }
        }
    }

    /// Whether this agent is to have the execution.
    pub(super) fn has(&self, execution: &TaskExecutionArn) -> bool {
        let published = self.published.borrow();
        let desired = published.agents.get(&self.agent.to_string());
        desired.is_some_and(|desired| desired.has(execution))
    }

    /// Reports count only for executions that this agent was told to run.
    fn report(&self, report: datasync_model::ExecutionReport, epoch: u64) {
        let asked = {
            let published = self.published.borrow();
            let desired = published.agents.get(&self.agent.to_string());
            desired.is_some_and(|desired| desired.has_in(&report.execution, epoch))
        };
        if !asked {
            tracing::debug!(agent = %self.agent, execution = %report.execution,
                "report of an execution that the agent should not have");
            return;
        }
        let urgent = lock(&self.fleet.inbox).put(Reported {
            agent: self.agent.clone(),
            epoch,
            report,
        });
        if urgent {
            self.fleet.wake.notify_one();
        }
    }

    /// Tells the agent what is published, as far as it does not know.
    async fn tell(&mut self) -> Result<(), Status> {
        let published = self.published.borrow_and_update().clone();
        if published.incarnation.is_empty() {
            return Ok(());
        }
        let Some(desired) = published.agents.get(&self.agent.to_string()) else {
            return self.perhaps_deleted().await;
        };
        self.stores.need(desired.stores(), Instant::now());
        self.look_up_due();
        let due = desired.due(
            &self.facts.abilities,
            |execution| lock(&self.fleet.untold).contains_key(execution),
            |store| self.stores.is_ready(store),
        );
        let message = due.message(&published.incarnation, published.generation);
        if self
            .sent
            .as_ref()
            .is_some_and(|sent| says_the_same(sent, &message))
        {
            return Ok(());
        }
        {
            // Before it is sent: what may have arrived counts as told.
            let mut untold = lock(&self.fleet.untold);
            untold.retain(|untold, _| !due.has(untold));
        }
        let before = self.sent.replace(message.clone());
        let before = before.map(|before| before.probes).unwrap_or_default();
        send(&self.outgoing, Down::Desired(message.clone())).await?;
        let mut probes = lock(&self.fleet.probes);
        for probe in message.probes {
            if !before.iter().any(|old| old.probe_id == probe.probe_id) {
                probes.sent(&self.agent, &probe.probe_id, Instant::now().into_std());
            }
        }
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

    fn look_up_due(&mut self) {
        for store in self.stores.take_due(Instant::now()) {
            let fleet = self.fleet.clone();
            self.look_ups.push(Box::pin(async move {
                let keys = fleet.rows.keys_for(&store, wall()).await;
                Found { store, keys }
            }));
        }
    }

    async fn deliver(&mut self, Found { store, keys }: Found) -> Result<(), Status> {
        let again = Instant::now() + look_up_after(keys.as_ref().ok(), wall());
        if !self.stores.found(&store, again) {
            return Ok(());
        }
        let message = credentials_message(store.location.arn(), keys);
        send(&self.outgoing, Down::Credentials(message)).await
    }
}

/// How long to wait before keys are looked up again.
fn look_up_after(keys: Option<&Keys>, now: Timestamp) -> Duration {
    let Some(keys) = keys else {
        return KEYS_RETRY;
    };
    let Some(due) = keys.life.refresh_at() else {
        return KEYS_RECHECK;
    };
    match Duration::try_from(due.duration_since(now)) {
        Ok(left) if !left.is_zero() => left.max(KEYS_REFRESH_MIN),
        // Due already: whoever issues them is away, and older ones serve.
        _ => KEYS_RETRY,
    }
}

fn says_the_same(one: &DesiredState, other: &DesiredState) -> bool {
    let incarnation = |desired: &DesiredState| {
        let generation = desired.generation.as_ref();
        generation.map(|generation| generation.incarnation.clone())
    };
    incarnation(one) == incarnation(other)
        && one.executions == other.executions
        && one.probes == other.probes
        && one.release == other.release
}

async fn sleep_until_or_forever(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::credentials::Life;

    #[test]
    fn keys_are_replaced_in_time_and_failures_are_not_hammered() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut keys = Keys::unlimited("AKID".to_owned(), Zeroizing::new("s".to_owned()));
        assert_eq!(look_up_after(Some(&keys), at(0)), KEYS_RECHECK);
        assert_eq!(look_up_after(None, at(0)), KEYS_RETRY);
        keys.life = Life::Limited {
            issued: at(0),
            expires: at(3600),
        };
        let after = |second| look_up_after(Some(&keys), at(second));
        assert_eq!(after(0), Duration::from_secs(2400));
        assert_eq!(after(2399), KEYS_REFRESH_MIN);
        assert_eq!(after(2400), KEYS_RETRY);
        assert_eq!(after(3500), KEYS_RETRY);
    }
}
