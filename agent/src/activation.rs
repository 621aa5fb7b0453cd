//! Becoming a member of a control plane: over HTTP on the agent's port, or with a key issued
//! beforehand.

mod bucket;
mod enroll;
mod request;
mod server;
mod tickets;
mod zero_touch;

use std::time::Duration;

use datasync_proto::Activated;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::identity::{Identity, IdentityError};
use crate::link::{CaFileError, Trust};
use crate::supervisor::Phase;

pub(crate) use enroll::{EnrollError, Enroller};

/// For replies that are under way when the port closes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the agent cannot be activated at all; a control plane that is away is no such reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Trust(#[from] CaFileError),
    #[error(
        "cannot listen for activation on {address}: {source}; choose another activation_listen, \
         or allow ports below 1024 (CAP_NET_BIND_SERVICE)"
    )]
    Listen {
        address: std::net::SocketAddr,
        source: std::io::Error,
    },
}

/// Runs until the agent is activated (`true`) or `stop` (`false`).
pub(crate) async fn activate(
    identity: &mut Identity,
    config: &Config,
    key_is_fresh: &mut bool,
    phase: &watch::Sender<Phase>,
    stop: &CancellationToken,
) -> Result<bool, ActivationError> {
    let trust = Trust::configured(&config.control_trust)?;
    let enroller = Enroller::new(
        config.control.clone(),
        trust,
        identity.certificate_request()?,
    );
    let mut activated = None;
    if let (Some(key), true) = (&config.activation_key, *key_is_fresh) {
        phase.send_replace(Phase::Claiming);
        activated = tokio::select! {
            activated = zero_touch::activate(&enroller, key) => activated,
            () = stop.cancelled() => return Ok(false),
        };
        *key_is_fresh = false;
    }
    let activated = match activated {
        Some(activated) => activated,
        None => match over_http(enroller, config, phase, stop).await? {
            Some(activated) => activated,
            None => return Ok(false),
        },
    };
    identity.activate(&activated)?;
    tracing::info!(
        agent_arn = activated.agent_arn,
        event = "agent.activated",
        "activated"
    );
    Ok(true)
}

async fn over_http(
    enroller: Enroller,
    config: &Config,
    phase: &watch::Sender<Phase>,
    stop: &CancellationToken,
) -> Result<Option<Activated>, ActivationError> {
    let address = config.activation_listen;
    let failed = |source| ActivationError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tracing::info!(
        address = %bound,
        control = %config.control,
        event = "activation.awaited",
        "waiting for activation: GET /?gatewayType=SYNC&activationRegion=REGION"
    );
    phase.send_replace(Phase::AwaitingActivation { address: bound });
    let (leads, received) = mpsc::channel(tickets::LIVE_MAX);
    let serving = stop.child_token();
    let mut tasks = JoinSet::new();
    tasks.spawn(server::serve(
        listener,
        enroller.clone(),
        leads,
        serving.clone(),
    ));
    let activated = tokio::select! {
        activated = tickets::await_any(&enroller, received) => activated,
        () = stop.cancelled() => None,
    };
    serving.cancel();
    let drained = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        tracing::debug!("activation connections cut");
    }
    Ok(activated)
}
