//! What a session says and keeps, made of what it knows.

use datasync_model::LocationArn;
use datasync_proto::{Credentials, HostFacts};
use tokio::sync::oneshot;
use tonic::Status;

use crate::credentials::{CredentialsError, Keys};
use crate::fleet::presence::Superseded;

/// Host facts as they are kept and shown.
pub(super) fn host_facts(host: &HostFacts) -> serde_json::Value {
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

/// To a machine that is not, or no longer, the one that acts as the agent.
pub(super) fn superseded() -> Status {
    Status::aborted(
        "another machine with this agent's identity was started later and takes over: if this \
         machine is a copy, remove its state directory and activate it as an agent of its own",
    )
}

pub(super) fn superseded_status(why: Result<Superseded, oneshot::error::RecvError>) -> Status {
    match why {
        Ok(Superseded::Cloned) => superseded(),
        Ok(Superseded::Reconnected) | Err(_) => {
            Status::aborted("a newer session of this agent takes over")
        }
    }
}

pub(super) fn credentials_message(
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
