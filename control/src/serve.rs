//! Control as a whole: everything is opened and bound before anything starts.

mod outputs;
mod telemetry;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datasync_telemetry::{ListenError, Pulses};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent_side::{AgentSide, AgentSideError};
use crate::api;
use crate::ca::{Authorities, AuthoritiesError, CaError};
use crate::config::{ApiSecurity, Config};
use crate::credentials::CredentialService;
use crate::history;
use crate::schedules;
use crate::served_certificate::{CHECK_INTERVAL, ServedCertificate, Source, keep_current};
use crate::state::{ServeLock, State, StateError};
use crate::store::Store;
use crate::telemetry::{ControlSource, Meters};
use outputs::{audit, logging, telling, watching};
use telemetry::Telemetry;

/// After the shutdown, how long connections may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Why control does not serve, or no longer does.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The state directory, its database, keys or CA.
    #[error("{0}")]
    State(String),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// API or agents.
        what: &'static str,
        /// The configured address.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// The address for health and metrics.
    #[error(transparent)]
    Telemetry(#[from] ListenError),
    /// A server that ended by itself.
    #[error("{0}")]
    Ended(String),
}

impl From<StateError> for ServeError {
    fn from(error: StateError) -> Self {
        Self::State(error.to_string())
    }
}

impl From<AgentSideError> for ServeError {
    fn from(error: AgentSideError) -> Self {
        Self::Ended(error.to_string())
    }
}

impl From<AuthoritiesError> for ServeError {
    fn from(error: AuthoritiesError) -> Self {
        Self::State(error.to_string())
    }
}

impl From<CaError> for ServeError {
    fn from(error: CaError) -> Self {
        Self::State(error.to_string())
    }
}

/// A control plane that serves.
#[derive(Debug)]
pub struct Serving {
    /// Where the API really listens.
    pub api_addr: SocketAddr,
    /// Where agents really connect.
    pub agent_addr: SocketAddr,
    /// Where health and metrics really are told, if at all.
    pub telemetry_addr: Option<SocketAddr>,
    /// PEM file of control's CA: what agents and, with control's own certificate, clients trust.
    pub ca_pem_path: PathBuf,
    /// SHA-256 of the CA certificate's DER, hexadecimal.
    pub ca_fingerprint: String,
    /// Of the loops that control lives by.
    pub pulses: Arc<Pulses>,
    tasks: JoinSet<Result<(), ServeError>>,
    shutdown: CancellationToken,
    _lock: ServeLock,
}

impl Serving {
    /// Waits for the end: after the shutdown, or because a part failed.
    ///
    /// # Errors
    /// [`ServeError::Ended`] with what failed.
    pub async fn ended(mut self) -> Result<(), ServeError> {
        let mut result = Ok(());
        let first = tokio::select! {
            first = self.tasks.join_next() => first,
            () = self.shutdown.cancelled() => None,
        };
        if let Some(first) = first {
            result = outcome(first);
            if result.is_ok() && !self.shutdown.is_cancelled() {
                result = Err(ServeError::Ended("a server stopped by itself".to_owned()));
            }
        }
        self.shutdown.cancel();
        let rest = async {
            while let Some(ended) = self.tasks.join_next().await {
                let ended = outcome(ended);
                if result.is_ok() {
                    result = ended;
                }
            }
        };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
        self.tasks.shutdown().await;
        result
    }
}

fn outcome(
    ended: Result<Result<(), ServeError>, tokio::task::JoinError>,
) -> Result<(), ServeError> {
    match ended {
        Ok(result) => result,
        Err(error) => Err(ServeError::Ended(format!("a server broke off: {error}"))),
    }
}

/// Starts control. It ends when `shutdown` is cancelled.
///
/// # Errors
/// [`ServeError`]: state that cannot be used, addresses that cannot be bound.
pub async fn serve(config: Config, shutdown: CancellationToken) -> Result<Serving, ServeError> {
    // The end of one part ends the others, and not what the caller shares the token with.
    let shutdown = shutdown.child_token();
    let now = Timestamp::now();
    let state = State::open(config.state_place(), now)?;
    let lock = ServeLock::take(&config.state_dir)?;
    let authorities = state.authorities(now).await?;
    let certificates = Certificates::load(&config, &authorities, now)?;
    let api_tls = certificates.api.clone().map(api_tls).transpose()?;
    let (api_listener, api_addr) = bind("the API", config.api_listen).await?;
    let (agent_listener, agent_addr) = bind("agents", config.agent_listen).await?;
    let telemetry = Telemetry::open(&config, now).await?;
    let credentials = credentials(&config, &state);
    let (ours, stop) = (certificates.own.clone(), shutdown.clone());
    let (trusted, keys) = (authorities.clone(), credentials.clone());
    let agents = AgentSide::new(&config, &state, trusted, keys, ours, stop).await?;
    let meters = Arc::<Meters>::default();
    let (agents, pulses) = (agents.counted_in(meters.clone()), meters.pulses.clone());
    let told = telling(&config, &state.store, shutdown.clone()).await?;
    let logged = logging(&config, &state.store, credentials.clone(), shutdown.clone())?;
    let mut tasks = JoinSet::new();
    let audit = audit(&config, &mut tasks);
    let settings = Arc::new(api::Settings::of(&config));
    let api = api::Api {
        store: state.store.clone(),
        sealer: state.sealer.clone(),
        credentials,
        settings: settings.clone(),
        audit: Arc::new(audit),
        body_room: api::BodyRoom::new(),
        meters: meters.clone(),
    };
    let source = ControlSource::new(
        meters,
        (state.store.clone(), agents.fleet()),
        certificates.named(),
        authorities.clone(),
        now,
    );
    let telemetry_addr = telemetry.serve(source, &mut tasks, shutdown.clone());
    let (limits, api_shutdown) = (limits(&config), shutdown.clone());
    tasks.spawn(async move {
        api::serve(api, api_listener, api_tls, limits, api_shutdown).await;
        Ok(())
    });
    tasks.spawn(async move { Ok(agents.run(agent_listener).await?) });
    let kept = keeping(&config, &state.store, shutdown.clone());
    let started = schedules::keep_starting(state.store.clone(), settings, shutdown.clone());
    let ca_fingerprint = authorities.trusted().issuer().fingerprint();
    let served = certificates.all();
    let lives = (authorities.clone(), served.clone());
    let watched = watching(&config, &state.store, lives, shutdown.clone())?;
    let renewed = keep_current(authorities, served, CHECK_INTERVAL, shutdown.clone());
    tasks.spawn(async move {
        tokio::join!(kept, started, renewed, watched, told, logged);
        Ok(())
    });
    let telemetry = telemetry_addr.map(tracing::field::display);
    tracing::info!(%api_addr, %agent_addr, telemetry, event = "control.started", "control serves");
    Ok(Serving {
        api_addr,
        agent_addr,
        telemetry_addr,
        ca_pem_path: state.authority.pem_path(),
        ca_fingerprint,
        pulses,
        tasks,
        shutdown,
        _lock: lock,
    })
}

/// What looks after rows in the background.
fn keeping(
    config: &Config,
    store: &Store,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let pruned = history::keep_pruned(store.clone(), config.execution_history, shutdown.clone());
    let retried = api::keep_retrying(store.clone(), shutdown);
    async move {
        tokio::join!(pruned, retried);
    }
}

fn credentials(config: &Config, state: &State) -> Arc<CredentialService> {
    let service = CredentialService::new(
        state.store.clone(),
        state.sealer.clone(),
        config.roles.clone(),
        config.home.clone(),
    );
    Arc::new(service.through(config.egress.clone()))
}

fn limits(config: &Config) -> api::Limits {
    api::Limits::new(api::SeatLimits {
        total: config.api_connections.total,
        per_source: config.api_connections.per_address,
    })
}

async fn bind(
    what: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen {
        what,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// What control shows: to agents one of its own CA, to clients that one or another.
struct Certificates {
    own: Arc<ServedCertificate>,
    /// `None` means plain HTTP.
    api: Option<Arc<ServedCertificate>>,
}

impl Certificates {
    fn load(
        config: &Config,
        authorities: &Arc<Authorities>,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let source = Source::OwnCa {
            authorities: authorities.clone(),
            names: config.server_names.clone(),
        };
        let own = ServedCertificate::load(source, now)?;
        let api = match &config.api_security {
            ApiSecurity::Plain => None,
            ApiSecurity::OwnCa => Some(own.clone()),
            ApiSecurity::Files { certificate, key } => {
                let (certificate, key) = (certificate.clone(), key.clone());
                Some(ServedCertificate::load(
                    Source::Files { certificate, key },
                    now,
                )?)
            }
        };
        Ok(Self { own, api })
    }

    /// Each of them once, by what it is shown to.
    fn named(&self) -> Vec<(&'static str, Arc<ServedCertificate>)> {
        let own = ("agents", self.own.clone());
        let api = self.api.clone().map(|api| ("api", api));
        std::iter::once(own).chain(api).collect()
    }

    /// Each of them once.
    fn all(self) -> Vec<Arc<ServedCertificate>> {
        let api = self.api.filter(|api| !Arc::ptr_eq(api, &self.own));
        std::iter::once(self.own).chain(api).collect()
    }
}

fn api_tls(certificate: Arc<ServedCertificate>) -> Result<Arc<rustls::ServerConfig>, ServeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ServeError::State(format!("TLS for the API: {error}")))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    Ok(Arc::new(tls))
}
