//! One agent from start to stop: activation, session, executions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datasync_model::AgentArn;
use datasync_telemetry::{ListenError, Pulses, listen, push_metrics, serve as serve_telemetry};
use datasync_transfer::SharedRate;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::activation::{self, ActivationError, EnrollError, Enroller};
use crate::backoff;
use crate::config::Config;
use crate::countersigning::SigningDesk;
use crate::credentials::{CredentialStore, Giver};
use crate::endpoints::Endpoints;
use crate::executions::{Executions, Limits, Runner};
use crate::health::{self, Vitals};
use crate::host::{self, HostWatch};
use crate::identity::{Identity, IdentityError};
use crate::lease::{LeaseHolder, since_boot};
use crate::link::Trust;
use crate::local::{self, Board, SessionState};
use crate::logs::Logs;
use crate::probe::Probes;
use crate::renewal::Pace;
use crate::session::{Desk, End};
use crate::state::{FAILURES, HISTORY, LOGS, StateDir, StateError};
use crate::telemetry::{AgentSource, Sources, resource, tell_resources};
use crate::updates::{self, Running, Surroundings, Updates};

/// Together with the farewell to control under 5 s.
const STOP_DEADLINE: Duration = Duration::from_millis(2500);
/// A deleted agent cancels its executions within this time.
const DISCARD_DEADLINE: Duration = Duration::from_secs(10);

/// Why an agent cannot run, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The identity cannot be used.
    #[error("{0}")]
    Identity(String),
    /// Activation is impossible.
    #[error("{0}")]
    Activation(String),
    /// The system has no randomness to give.
    #[error("the system has no source of randomness: {0}")]
    Randomness(String),
    /// The address for health and metrics cannot be used.
    #[error(transparent)]
    Telemetry(#[from] ListenError),
}

impl From<IdentityError> for RunError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::State(error) => Self::State(error),
            other => Self::Identity(other.to_string()),
        }
    }
}

impl From<ActivationError> for RunError {
    fn from(error: ActivationError) -> Self {
        match error {
            ActivationError::Identity(error) => error.into(),
            other => Self::Activation(other.to_string()),
        }
    }
}

/// Where an agent stands, for whoever embeds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not ready yet.
    Starting,
    /// A key issued beforehand is being claimed.
    Claiming,
    /// The activation port is open.
    AwaitingActivation {
        /// Where it listens; the port is the real one, also where 0 was configured.
        address: SocketAddr,
    },
    /// A member of a control plane.
    Active {
        /// The agent's ARN.
        arn: AgentArn,
    },
    /// Ended.
    Stopped,
}

/// How an agent's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop.
    Stopped,
    /// Another release is to run: the process should start anew.
    Restart,
}

/// Runs an agent until `shutdown`.
///
/// # Errors
/// [`RunError`] for what no retry cures: state, identity, the activation port. A control plane
/// that is away is not an error.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    run_observed(config, watch::Sender::new(Phase::Starting), shutdown).await
}

/// [`run`], telling `phase` where the agent stands.
///
/// # Errors
/// As [`run`].
pub async fn run_observed(
    config: Config,
    phase: watch::Sender<Phase>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let pulses = Arc::default();
    let ended = run_updatable(config, Running::embedded(), phase, pulses, shutdown);
    ended.await.map(|_| ())
}

/// [`run_observed`] as `running`, for a program that can start anew as another release. The loops that
/// the agent lives by give their signs of life to `pulses`.
///
/// # Errors
/// As [`run`].
pub async fn run_updatable(
    config: Config,
    running: Running,
    phase: watch::Sender<Phase>,
    pulses: Arc<Pulses>,
    shutdown: CancellationToken,
) -> Result<Ending, RunError> {
    let state = Arc::new(StateDir::open(&config.state_dir)?);
    let telemetry = match config.telemetry_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let beating = CancellationToken::new();
    let mut beat = JoinSet::new();
    let vitals = Arc::new(Vitals::with(pulses));
    let (beating_state, signs, until) = (Arc::clone(&state), vitals.clone(), beating.clone());
    beat.spawn(async move { health::beat(&beating_state, &signs, until).await });
    // Another release that is to run ends this run as well.
    let stop = shutdown.child_token();
    let process = Process {
        running,
        restart: stop.clone(),
    };
    let result = match Agent::start(config, Arc::clone(&state), phase.clone(), vitals, process) {
        Ok(mut agent) => {
            if let Some(listener) = updates::listen(&state) {
                let updates = agent.updates.clone();
                beat.spawn(updates::serve(listener, updates, beating.clone()));
            }
            beat.spawn(agent.updates.clone().run(beating.clone()));
            if let Some(listener) = local::listen(&state) {
                beat.spawn(local::serve(listener, agent.board(), beating.clone()));
            }
            agent.tell(telemetry, &state, &mut beat, &beating);
            let result = agent.live(&stop).await;
            agent.executions.stop(STOP_DEADLINE).await;
            result
        }
        Err(error) => Err(error),
    };
    beating.cancel();
    while beat.join_next().await.is_some() {}
    phase.send_replace(Phase::Stopped);
    result.map(|()| match stop.is_cancelled() && !shutdown.is_cancelled() {
        true => Ending::Restart,
        false => Ending::Stopped,
    })
}

/// What the agent knows of its process.
struct Process {
    running: Running,
    /// Ends the run, so that another release begins.
    restart: CancellationToken,
}

struct Agent {
    config: Config,
    phase: watch::Sender<Phase>,
    boot_nonce: String,
    identity: Identity,
    executions: Executions,
    logs: Logs,
    lease: LeaseHolder,
    endpoints: Endpoints,
    credentials: CredentialStore,
    signing: SigningDesk,
    host: HostWatch,
    session: watch::Sender<SessionState>,
    vitals: Arc<Vitals>,
    updates: Updates,
    /// A key issued beforehand serves one activation.
    key_is_fresh: bool,
}

impl Agent {
    fn start(
        config: Config,
        state: Arc<StateDir>,
        phase: watch::Sender<Phase>,
        vitals: Arc<Vitals>,
        process: Process,
    ) -> Result<Self, RunError> {
        let mut nonce = [0_u8; 16];
        getrandom::fill(&mut nonce).map_err(|e| RunError::Randomness(e.to_string()))?;
        let name = host::host_name(config.name.as_deref());
        let identity = Identity::load_or_create(Arc::clone(&state), &name)?;
        let credentials = CredentialStore::new(Giver::Control);
        let endpoints = Endpoints::new(&config.process, credentials.clone());
        let rate = config.bytes_per_second;
        let shared_rate = rate.limit().map(|_| SharedRate::start(rate));
        let limits = Limits::shared_by(config.executions_max, &config.process, shared_rate);
        let signing = SigningDesk::default();
        let lease = LeaseHolder::new(since_boot);
        let runner = Runner::new(
            endpoints.clone(),
            limits,
            Some(lease.lease()),
            state.path(HISTORY),
            state.path(FAILURES),
        );
        let logs = Logs::resume(state.path(LOGS));
        let runner = runner.with_logs(logs.clone());
        let host = HostWatch::new(name, state.root());
        let work = runner.into_work(signing.clone());
        let root = state.root().to_owned();
        let executions = Executions::resume(state, work, config.executions_max)?;
        tell_resources(&config);
        let surroundings = Surroundings {
            phase: phase.subscribe(),
            executions: executions.watched(),
            restart: process.restart,
        };
        let updates = Updates::open(&root, &config.updates, &process.running, surroundings);
        Ok(Self {
            key_is_fresh: identity.membership().is_none(),
            boot_nonce: hex::encode(nonce),
            config,
            phase,
            identity,
            executions,
            logs,
            lease,
            endpoints,
            credentials,
            signing,
            host,
            vitals,
            updates,
            session: watch::Sender::new(SessionState::None),
        })
    }

    fn board(&self) -> Board {
        Board {
            phase: self.phase.subscribe(),
            session: self.session.subscribe(),
            executions: self.executions.watched(),
            update: self.updates.watch(),
        }
    }

    /// Answers who asks for health and metrics, and pushes metrics, where that is configured.
    fn tell(
        &self,
        listener: Option<TcpListener>,
        state: &StateDir,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let started = SystemTime::now();
        let source = Arc::new(AgentSource::new(self.sources(state), started));
        if let Some(settings) = self.config.otlp.clone() {
            let resource = resource(state, started);
            tasks.spawn(push_metrics(
                settings,
                resource,
                source.clone(),
                stop.clone(),
            ));
        }
        if let Some(listener) = listener {
            tasks.spawn(serve_telemetry(listener, source, stop.clone()));
        }
    }

    /// What health and metrics are read from.
    fn sources(&self, state: &StateDir) -> Sources {
        Sources {
            vitals: Arc::clone(&self.vitals),
            board: self.board(),
            tally: self.executions.tally(),
            servers: self.endpoints.servers().clone(),
            certificate_end: self.identity.certificate_end(),
            state_dir: state.root().to_owned(),
            memory_target_bytes: self.config.process.memory_target_bytes,
            executions_max: self.config.executions_max,
            bytes_per_second: self.config.bytes_per_second,
        }
    }

    async fn live(&mut self, shutdown: &CancellationToken) -> Result<(), RunError> {
        while !shutdown.is_cancelled() {
            match self.identity.membership() {
                Some(membership) => {
                    let arn = membership.arn().clone();
                    self.phase.send_replace(Phase::Active { arn });
                    self.serve(shutdown).await?;
                }
                None => {
                    let activated = activation::activate(
                        &mut self.identity,
                        &self.config,
                        &mut self.key_is_fresh,
                        &self.phase,
                        shutdown,
                    );
                    if !activated.await? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Holds sessions, one after the other, until `shutdown` or until the agent is deleted.
    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<(), RunError> {
        let mut probes = Probes::new(self.endpoints.clone());
        let mut pace = Pace::default();
        let mut failures = 0_u32;
        loop {
            let end = match self.renew_if_due(&mut pace, shutdown).await {
                Some(end) => end,
                None => self.hold(&mut probes, &mut pace, shutdown).await,
            };
            match end {
                End::Stopped => return Ok(()),
                End::Deactivated => return self.deactivate().await,
                End::RenewalDue => failures = 0,
                End::Lost { welcomed, reason } => {
                    self.session.send_replace(SessionState::Lost {
                        reason: reason.clone(),
                    });
                    failures = if welcomed {
                        1
                    } else {
                        // It may be one replica's own trouble.
                        self.config.control.pass_over();
                        failures.saturating_add(1)
                    };
                    let delay = backoff::CONTROL.random_delay(failures);
                    let retry_ms = delay.as_millis();
                    tracing::warn!(
                        reason,
                        failures,
                        retry_ms,
                        event = "session.lost",
                        "no session with control"
                    );
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(()),
                        () = tokio::time::sleep(delay) => {}
                    }
                }
            }
        }
    }

    async fn hold(
        &mut self,
        probes: &mut Probes,
        renewal: &mut Pace,
        shutdown: &CancellationToken,
    ) -> End {
        let mut desk = Desk {
            control: &self.config.control,
            boot_nonce: &self.boot_nonce,
            identity: &mut self.identity,
            executions: &mut self.executions,
            logs: &self.logs,
            lease: &self.lease,
            probes,
            credentials: &self.credentials,
            signing: &self.signing,
            host: &mut self.host,
            shown: &self.session,
            vitals: &self.vitals,
            updates: &self.updates,
            renewal,
        };
        desk.hold(shutdown).await
    }

    /// Renews the certificate where that is due; `Some` if no session can be held now. The request
    /// is signed by the agent's key, so this works also after the certificate expired.
    async fn renew_if_due(&mut self, pace: &mut Pace, shutdown: &CancellationToken) -> Option<End> {
        let renewal_in = self.identity.membership()?.renewal_in(SystemTime::now());
        if !pace.is_due(renewal_in, Instant::now()) {
            return None;
        }
        let result = tokio::select! {
            () = shutdown.cancelled() => return Some(End::Stopped),
            result = self.request_renewal() => result,
        };
        match result {
            Ok(()) => {
                tracing::info!(event = "certificate.renewed", "certificate renewed");
                pace.succeeded(Instant::now());
                None
            }
            Err(EnrollError::Refused {
                code: Code::NotFound | Code::PermissionDenied,
                reason,
            }) => {
                tracing::warn!(reason, "control knows no agent with this key");
                Some(End::Deactivated)
            }
            Err(error) if self.certificate_is_good() => {
                tracing::warn!(%error, event = "certificate.renewal_failed", "cannot renew the certificate; trying again later");
                // Without randomness the longest pause is the safe answer.
                pace.failed(Instant::now(), getrandom::u32().unwrap_or(u32::MAX));
                None
            }
            Err(error) => Some(End::Lost {
                welcomed: false,
                reason: format!("cannot renew the certificate: {error}"),
            }),
        }
    }

    fn certificate_is_good(&self) -> bool {
        self.identity
            .membership()
            .is_some_and(|membership| !membership.has_expired(SystemTime::now()))
    }

    async fn request_renewal(&mut self) -> Result<(), EnrollError> {
        let local = |error: &dyn std::fmt::Display| EnrollError::Transient(error.to_string());
        let Some(membership) = self.identity.membership() else {
            return Err(local(&"the agent is not activated"));
        };
        let trust = Trust::anchors(&membership.anchors_pem)?;
        let request = self.identity.certificate_request().map_err(|e| local(&e))?;
        let enroller = Enroller::new(self.config.control.clone(), trust, request);
        let renewed = enroller.renew().await?;
        self.identity
            .renew(&renewed.certificate_chain, &renewed.trust_anchors)
            .map_err(|e| local(&e))
    }

    /// Control deleted the agent: nothing of its membership stays.
    async fn deactivate(&mut self) -> Result<(), RunError> {
        tracing::warn!(
            event = "agent.deleted",
            "control deleted this agent; it can be activated again"
        );
        self.identity.deactivate()?;
        // They still need the credentials to abort their uploads.
        self.executions.discard(DISCARD_DEADLINE).await;
        self.logs.discard();
        self.credentials.clear();
        self.session.send_replace(SessionState::None);
        Ok(())
    }
}
