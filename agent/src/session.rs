//! The session with control: desired state in, observed state out, over one stream.

mod outbox;

use std::time::{Duration, SystemTime};

use datasync_model::{Ability, AgentStatus};
use datasync_proto::agent_message::Message as Out;
use datasync_proto::control_message::Message as In;
use datasync_proto::session_client::SessionClient;
use datasync_proto::{
    ControlMessage, DesiredState, ExecutionObserved, Heartbeat, Hello, MESSAGE_BYTES_MAX, Welcome,
};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::VERSION;
use crate::config::ControlAddresses;
use crate::countersigning::{DeskSession, SigningDesk};
use crate::credentials::CredentialStore;
use crate::executions::{Executions, is_current};
use crate::health::Vitals;
use crate::host::HostWatch;
use crate::identity::{Identity, IdentityError};
use crate::lease::LeaseHolder;
use crate::link::{self, LinkError, Trust};
use crate::local::SessionState;
use crate::logs::{Courier, Logs};
use crate::probe::Probes;
use crate::renewal::Pace;
use crate::updates::Updates;
use outbox::{Outbox, Undeliverable};

const WELCOME_TIMEOUT: Duration = Duration::from_secs(20);
/// At most this often is progress reported; an end is told at once.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Bounds on the interval that control asks for.
const HEARTBEAT_MIN: Duration = Duration::from_millis(200);
const HEARTBEAT_MAX: Duration = Duration::from_secs(300);
/// A session in which control says nothing for this many heartbeats is dead.
const SILENT_HEARTBEATS: u32 = 3;
const SILENCE_MIN: Duration = Duration::from_secs(10);
/// What the loop is called where its sign of life is asked for, and how late that may be.
const LOOP: &str = "session with control";
const LOOP_PATIENCE: Duration = Duration::from_secs(60);
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
const SKEW_WARNING: Duration = Duration::from_secs(60);

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// `stop` fired, and control was told.
    Stopped,
    /// Control deleted the agent.
    Deactivated,
    /// The certificate is to be renewed now, by its age or because control asks for it.
    RenewalDue,
    /// To be opened again; `welcomed` if control had accepted the agent.
    Lost { welcomed: bool, reason: String },
}

impl End {
    fn lost(reason: impl std::fmt::Display) -> Self {
        Self::Lost {
            welcomed: false,
            reason: reason.to_string(),
        }
    }
}

impl From<Undeliverable> for End {
    fn from(error: Undeliverable) -> Self {
        Self::lost(error)
    }
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::lost(error)
    }
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::lost(link::describe(&status))
    }
}

impl From<IdentityError> for End {
    fn from(error: IdentityError) -> Self {
        Self::lost(error)
    }
}

/// What a session works with and on.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) control: &'a ControlAddresses,
    pub(crate) boot_nonce: &'a str,
    pub(crate) identity: &'a mut Identity,
    pub(crate) executions: &'a mut Executions,
    pub(crate) logs: &'a Logs,
    pub(crate) lease: &'a LeaseHolder,
    pub(crate) probes: &'a mut Probes,
    pub(crate) credentials: &'a CredentialStore,
    pub(crate) signing: &'a SigningDesk,
    pub(crate) host: &'a mut HostWatch,
    /// For whoever looks on.
    pub(crate) shown: &'a watch::Sender<SessionState>,
    pub(crate) vitals: &'a Vitals,
    pub(crate) updates: &'a Updates,
    pub(crate) renewal: &'a mut Pace,
}

impl Desk<'_> {
    /// Holds one session until it ends.
    pub(crate) async fn hold(&mut self, stop: &CancellationToken) -> End {
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return End::Stopped,
            opened = self.open() => opened,
        };
        let (mut outbox, mut inbox, welcome) = match opened {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        tracing::info!(control = %self.control.first(), event = "session.opened", "session with control is open");
        self.shown.send_replace(SessionState::Open {
            control: self.control.first().to_string(),
            ahead_seconds: ahead_seconds(welcome.now_milliseconds, SystemTime::now()),
        });
        let ended = self.work(&mut outbox, &mut inbox, &welcome, stop).await;
        self.vitals.pulses.end(LOOP);
        self.updates.disconnected();
        match ended {
            End::Lost { reason, .. } => End::Lost {
                welcomed: true,
                reason,
            },
            other => other,
        }
    }

    async fn open(&mut self) -> Result<(Outbox, Streaming<ControlMessage>, Welcome), End> {
        let Some(membership) = self.identity.membership() else {
            return Err(End::lost("the agent is not activated"));
        };
        let trust = Trust::anchors(&membership.anchors_pem)?;
        let channel = link::connect_any(self.control, &trust, Some(&membership.credential)).await?;
        let mut client =
            SessionClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let hello = Hello {
            agent_version: VERSION.to_owned(),
            boot_nonce: self.boot_nonce.to_owned(),
            applied: membership.applied(),
            abilities: Ability::ALL.iter().map(ToString::to_string).collect(),
        };
        let (outbox, messages) = Outbox::new();
        outbox.send(Out::Hello(hello)).await?;
        let accepted = tokio::time::timeout(WELCOME_TIMEOUT, async {
            let mut inbox = client.attach(messages).await?.into_inner();
            loop {
                match inbox.message().await?.and_then(|message| message.message) {
                    Some(In::Welcome(welcome)) => return Ok((inbox, welcome)),
                    Some(In::Deactivate(_)) => return Err(End::Deactivated),
                    Some(_) => tracing::debug!("control spoke before its welcome"),
                    None => return Err(End::lost("control closed the session at once")),
                }
            }
        })
        .await;
        match accepted {
            Ok(Ok((inbox, welcome))) => {
                self.updates.connected(channel);
                Ok((outbox, inbox, welcome))
            }
            Ok(Err(end)) => {
                if matches!(end, End::Deactivated) {
                    self.updates.reached();
                }
                Err(end)
            }
            Err(_) => Err(End::lost("control did not welcome the agent in time")),
        }
    }

    async fn work(
        &mut self,
        outbox: &mut Outbox,
        inbox: &mut Streaming<ControlMessage>,
        welcome: &Welcome,
        stop: &CancellationToken,
    ) -> End {
        warn_of_skew(welcome.now_milliseconds, SystemTime::now());
        self.signing.welcomed(&welcome.abilities);
        let mut reports_to_sign = self.signing.session();
        let asked = Duration::from_secs(u64::from(welcome.heartbeat_interval_seconds));
        let interval = asked.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        let silence = (interval * SILENT_HEARTBEATS).max(SILENCE_MIN);
        let mut heartbeats = tokio::time::interval(interval);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reports = tokio::time::interval(REPORT_INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = self.lease.now();
        let mut heard_at = Instant::now();
        let mut courier = Courier::new(self.logs, &welcome.abilities);
        if let Err(error) = self.repeat_observations(outbox).await {
            return error.into();
        }
        loop {
            let result = tokio::select! {
                () = stop.cancelled() => return self.take_leave(outbox, inbox).await,
                received = inbox.message() => {
                    heard_at = Instant::now();
                    match received {
                        Ok(Some(ControlMessage { message: Some(In::LogKept(kept)) })) => {
                            courier.kept(&kept);
                            Ok(())
                        }
                        Ok(Some(message)) => match self.handle(message, began, outbox, &reports_to_sign).await {
                            Ok(None) => Ok(()),
                            Ok(Some(end)) => return end,
                            Err(end) => return end,
                        },
                        Ok(None) => return End::lost("control closed the session"),
                        Err(status) => return status.into(),
                    }
                }
                _ = heartbeats.tick() => {
                    self.vitals.pulses.beat(LOOP, interval * SILENT_HEARTBEATS + LOOP_PATIENCE);
                    if let Some(end) = self.due_for_renewal() {
                        return end;
                    }
                    match self.sign(outbox, &mut reports_to_sign).await {
                        Ok(()) => outbox.send(self.heartbeat(AgentStatus::Online)).await,
                        failed => failed,
                    }
                }
                _ = reports.tick() => self.report(outbox, false).await,
                () = reports_to_sign.changed() => self.sign(outbox, &mut reports_to_sign).await,
                () = self.executions.ended() => self.report(outbox, false).await,
                lines = courier.next() => outbox.send(Out::Log(lines)).await,
                answer = self.probes.next_answer() => outbox.send(Out::Probed(answer)).await,
                () = tokio::time::sleep_until(heard_at + silence) => {
                    return End::lost(format!("control was silent for {} s", silence.as_secs()));
                }
            };
            if let Err(error) = result {
                return error.into();
            }
        }
    }

    /// After a (re)connect control may have missed anything.
    async fn repeat_observations(&mut self, outbox: &Outbox) -> Result<(), Undeliverable> {
        if let Some(applied) = self.identity.membership().and_then(|m| m.applied()) {
            outbox.send(Out::Applied(applied)).await?;
        }
        for answer in self.probes.answers() {
            outbox.send(Out::Probed(answer)).await?;
        }
        self.report(outbox, true).await
    }

    async fn report(&mut self, outbox: &Outbox, all: bool) -> Result<(), Undeliverable> {
        for report in self.executions.due_reports(all) {
            let epoch = self.executions.epoch(&report.execution);
            outbox
                .send(Out::Execution(ExecutionObserved::new(&report, epoch)))
                .await?;
        }
        Ok(())
    }

    /// Sends reports that are to be signed and were not, or not answered for a while.
    async fn sign(&self, outbox: &Outbox, reports: &mut DeskSession) -> Result<(), Undeliverable> {
        let Some(membership) = self.identity.membership() else {
            return Ok(());
        };
        for signed in reports.due(&membership.signer(), Instant::now()) {
            outbox.send(Out::ReportSigned(signed)).await?;
        }
        Ok(())
    }

    fn heartbeat(&mut self, status: AgentStatus) -> Out {
        Out::Heartbeat(Heartbeat {
            status: status.to_string(),
            host: Some(self.host.look()),
            sent_milliseconds: u64::try_from(self.lease.now().as_millis()).unwrap_or(0),
            update: Some(self.updates.status()),
        })
    }

    fn due_for_renewal(&self) -> Option<End> {
        let membership = self.identity.membership()?;
        self.renewal
            .is_due(membership.renewal_in(SystemTime::now()), Instant::now())
            .then_some(End::RenewalDue)
    }

    /// `Some` if the session is over. `session_began` is by the lease's clock.
    async fn handle(
        &mut self,
        message: ControlMessage,
        session_began: Duration,
        outbox: &Outbox,
        reports_to_sign: &DeskSession,
    ) -> Result<Option<End>, End> {
        match message.message {
            Some(In::Desired(desired)) => self.adopt(desired, outbox).await?,
            Some(In::Credentials(credentials)) => self.credentials.accept(credentials),
            Some(In::ReportCountersigned(answer)) => reports_to_sign.answered(&answer),
            Some(In::Deactivate(_)) => return Ok(Some(End::Deactivated)),
            Some(In::Renew(_)) => {
                // The session goes on until it is due: control asks anew in each.
                self.renewal.ask();
                return Ok(self.due_for_renewal());
            }
            Some(In::HeartbeatAck(ack)) => {
                self.lease.renew(&ack, session_began);
                self.updates.reached();
            }
            Some(In::Welcome(_) | In::LogKept(_)) => {}
            // Of a newer control: nothing that this version could obey.
            None => tracing::debug!("control sent a message of an unknown kind"),
        }
        Ok(None)
    }

    async fn adopt(&mut self, desired: DesiredState, outbox: &Outbox) -> Result<(), End> {
        let Some(generation) = desired.generation else {
            tracing::warn!("control sent a desired state without a generation; ignored");
            return Ok(());
        };
        let applied = self.identity.membership().and_then(|m| m.applied());
        if !is_current(applied.as_ref(), &generation) {
            tracing::warn!(
                ?generation,
                ?applied,
                "control sent an older desired state; ignored"
            );
            return Ok(());
        }
        self.executions.apply(&desired.executions);
        self.probes.apply(desired.probes);
        self.updates.wish(desired.release);
        self.identity.apply_generation(&generation)?;
        outbox.send(Out::Applied(generation)).await?;
        Ok(())
    }

    /// Tells control that the agent stops, as far as that is possible in a moment.
    async fn take_leave(
        &mut self,
        outbox: &mut Outbox,
        inbox: &mut Streaming<ControlMessage>,
    ) -> End {
        let farewell = async {
            self.report(outbox, false).await?;
            let heartbeat = self.heartbeat(AgentStatus::Offline);
            outbox.send(heartbeat).await?;
            outbox.close();
            // Control ends its side once it has read ours.
            while let Ok(Some(_)) = inbox.message().await {}
            Ok::<_, Undeliverable>(())
        };
        match tokio::time::timeout(FAREWELL_TIMEOUT, farewell).await {
            Ok(Ok(())) => tracing::info!(
                event = "session.closed",
                "told control that the agent stops"
            ),
            Ok(Err(error)) => tracing::warn!(%error, "could not tell control that the agent stops"),
            Err(_) => tracing::debug!("control did not end the session in time"),
        }
        End::Stopped
    }
}

/// This machine's clock less control's.
fn ahead_seconds(control_milliseconds: i64, now: SystemTime) -> i64 {
    let ours = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let ours = i64::try_from(ours).unwrap_or(i64::MAX);
    ours.saturating_sub(control_milliseconds) / 1000
}

fn warn_of_skew(control_milliseconds: i64, now: SystemTime) {
    let ours = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let theirs = Duration::from_millis(u64::try_from(control_milliseconds).unwrap_or(0));
    let skew = ours.abs_diff(theirs);
    if skew > SKEW_WARNING {
        tracing::warn!(
            skew_seconds = skew.as_secs(),
            "this machine's clock differs from control's; signatures may be refused"
        );
    }
}
