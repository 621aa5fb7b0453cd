//! What control writes besides answers: audit log, events, logs of executions.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ServeError;
use crate::audit::Audit;
use crate::ca::Authorities;
use crate::cloudwatch;
use crate::config::Config;
use crate::credentials::CredentialService;
use crate::events::{self, Receiver};
use crate::expiry::{Watched, keep_watched};
use crate::served_certificate::ServedCertificate;
use crate::state::control_id;
use crate::store::Store;

/// The audit log; what writes it ends after the API.
pub(super) fn audit(config: &Config, tasks: &mut JoinSet<Result<(), ServeError>>) -> Audit {
    let Some(settings) = config.outputs.audit.clone() else {
        return Audit::off();
    };
    let (audit, writer) = Audit::new(settings, config.api_connections.total);
    tasks.spawn_blocking(move || {
        writer.run();
        Ok(())
    });
    audit
}

/// Delivers events until `shutdown`.
pub(super) async fn telling(
    config: &Config,
    store: &Store,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, ServeError> {
    let receivers = Receiver::all(&config.outputs, &config.egress).map_err(ServeError::State)?;
    let adopted = events::adopt(store).await;
    adopted.map_err(|error| ServeError::State(error.to_string()))?;
    let us = control_id(&config.state_dir)?;
    Ok(events::deliver(store.clone(), receivers, us, shutdown))
}

/// What events call this control by.
fn control_arn(config: &Config) -> Result<String, ServeError> {
    let (home, id) = (&config.home, control_id(&config.state_dir)?);
    Ok(format!(
        "arn:{}:datasync:{}:{}:control/{id}",
        home.partition, home.region, home.account
    ))
}

/// Tells of certificates that end, `served` and the authorities', until `shutdown`.
pub(super) fn watching(
    config: &Config,
    store: &Store,
    (authorities, served): (Arc<Authorities>, Vec<Arc<ServedCertificate>>),
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, ServeError> {
    let watched = Watched {
        control_arn: control_arn(config)?,
        authorities,
        served,
    };
    Ok(keep_watched(store.clone(), watched, shutdown))
}

/// Sends logs to CloudWatch Logs until `shutdown`.
pub(super) fn logging(
    config: &Config,
    store: &Store,
    credentials: Arc<CredentialService>,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, ServeError> {
    let outputs = &config.outputs;
    let client = cloudwatch::Client::new(
        credentials,
        config.egress.clone(),
        outputs.cloudwatch_endpoint.clone(),
        outputs.cloudwatch_role_arn.clone(),
    );
    let us = control_id(&config.state_dir)?;
    let sender = cloudwatch::Sender::new(store.clone(), client, us);
    Ok(cloudwatch::send(sender, shutdown))
}
