//! Everything behind the agents' port, put together: enrollment, sessions, the fleet's driver.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use datasync_proto::enrollment_server::EnrollmentServer;
use datasync_proto::session_server::SessionServer;
use datasync_proto::{ENROLLMENT_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX};
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::agent_port::{self, AgentConnection, AgentTls};
use crate::ca::Authorities;
use crate::config::Config;
use crate::credentials::CredentialService;
use crate::enrollment::EnrollmentService;
use crate::fleet::{self, Fleet, Rows, SessionService, Settings, Surroundings};
use crate::reports::Countersigner;
use crate::served_certificate::ServedCertificate;
use crate::state::{State, StateError};
use crate::store::Database;
use crate::telemetry::Meters;

/// A peer that answers no ping is gone.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bounds on what one connection may have open, in HTTP/2's terms.
const STREAMS_MAX: u32 = 16;
const PENDING_RESETS_MAX: usize = 32;
/// Streams that break the protocol before their connection is given up.
const LOCAL_RESETS_MAX: usize = 32;
const HEADER_BYTES_MAX: u32 = 16 * 1024;
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// What a peer may send before it is read, on a stream and on all of a connection, in bytes.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The agents' half of control, ready to run.
pub(crate) struct AgentSide {
    fleet: Arc<Fleet>,
    enrollment: EnrollmentService,
    tls: AgentTls,
    meters: Arc<Meters>,
    shutdown: CancellationToken,
}

impl std::fmt::Debug for AgentSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentSide")
            .field("fleet", &self.fleet)
            .finish_non_exhaustive()
    }
}

impl AgentSide {
    /// Puts the parts together, and records that every agent is OFFLINE until it is heard of.
    ///
    /// # Errors
    /// [`AgentSideError`]: certificates, or the store.
    pub(crate) async fn new(
        config: &Config,
        state: &State,
        authorities: Arc<Authorities>,
        credentials: Arc<CredentialService>,
        certificate: Arc<ServedCertificate>,
        shutdown: CancellationToken,
    ) -> Result<Self, AgentSideError> {
        let tls = AgentTls::new(authorities.clone(), certificate);
        let tls = tls.map_err(StateError::from)?;
        let mut start = [0; 8];
        getrandom::fill(&mut start).map_err(|e| StateError::Random(e.to_string()))?;
        let rows = Rows::new(
            state.store.clone(),
            credentials,
            Countersigner::new(state.store.clone(), state.sealer.clone()),
            Surroundings {
                default_agents: config.default_agents.clone(),
                region: config.home.region.to_string(),
                roles: config.roles.clone(),
            },
        );
        let settings = Settings {
            heartbeat_interval: config.heartbeat_interval,
            offline_after: config.offline_after,
            failover_after: config.failover_after,
            executions_per_agent: config.executions_per_agent,
            alone: config.database == Database::Sqlite,
        };
        let fleet = Arc::new(Fleet::new(
            settings,
            rows,
            authorities.clone(),
            start,
            shutdown.clone(),
        ));
        fleet::reconcile(&fleet, || ()).await?;
        Ok(Self {
            fleet,
            enrollment: EnrollmentService::new(
                state.store.clone(),
                authorities,
                config.home.clone(),
                config.agent_certificate_lifetime,
                shutdown.clone(),
            ),
            tls,
            meters: Arc::default(),
            shutdown,
        })
    }

    /// The same, counting in `meters`.
    pub(crate) fn counted_in(self, meters: Arc<Meters>) -> Self {
        Self { meters, ..self }
    }

    /// For whoever looks on.
    pub(crate) fn fleet(&self) -> Arc<Fleet> {
        self.fleet.clone()
    }

    /// Serves agents until the shutdown.
    ///
    /// # Errors
    /// [`AgentSideError::Server`] if the gRPC server fails.
    pub(crate) async fn run(self, listener: TcpListener) -> Result<(), AgentSideError> {
        let (accepted, connections) = agent_port::accepted_channel();
        let incoming = ReceiverStream::new(connections).map(Ok::<AgentConnection, Infallible>);
        let server = Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
            .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_adaptive_window(Some(false))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES_MAX)
            .add_service(
                EnrollmentServer::new(self.enrollment)
                    .max_decoding_message_size(ENROLLMENT_MESSAGE_BYTES_MAX),
            )
            .add_service(
                SessionServer::new(SessionService::new(self.fleet.clone()))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX),
            )
            .serve_with_incoming_shutdown(incoming, self.shutdown.clone().cancelled_owned());
        let refused = self.meters.agents_refused.clone();
        let ((), (), served) = tokio::join!(
            fleet::drive(self.fleet, &self.meters.pulses),
            agent_port::accept(listener, self.tls, accepted, refused, self.shutdown),
            server,
        );
        Ok(served?)
    }
}

/// Why agents cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentSideError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Drive(#[from] fleet::DriveError),
    #[error("the server for agents failed: {}", innermost(.0))]
    Server(#[from] tonic::transport::Error),
}

/// The text at the bottom of the chain: the layers above only say "transport error".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let deepest = std::iter::successors(Some(error), |error| error.source()).last();
    deepest.unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests;
