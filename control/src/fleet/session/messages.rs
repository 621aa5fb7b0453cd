//! What a session says and keeps, made of what it knows.

use datasync_model::{Failure, LocationArn};
use datasync_proto::{Credentials, HostFacts};
use tokio::sync::oneshot;
use tonic::Status;

use crate::credentials::{CredentialsError, Keys};
use crate::fleet::presence::Superseded;

/// Texts of agents are kept up to these lengths, in bytes.
const DETAIL_BYTES_MAX: usize = 4096;
const HOST_TEXT_BYTES_MAX: usize = 256;

/// The beginning of `text`, marked where something is missing.
fn bounded(text: &str, bytes_max: usize) -> String {
    match text.get(..text.floor_char_boundary(bytes_max)) {
        Some(beginning) if beginning.len() < text.len() => format!("{beginning}…"),
        _ => text.to_owned(),
    }
}

/// An agent's failure with a detail of bounded length.
pub(super) fn bounded_failure(failure: Failure) -> Failure {
    Failure::new(failure.code, bounded(&failure.detail, DETAIL_BYTES_MAX))
}

/// Host facts as they are kept and shown.
pub(super) fn host_facts(host: &HostFacts) -> serde_json::Value {
    serde_json::json!({
        "hostname": bounded(&host.hostname, HOST_TEXT_BYTES_MAX),
        "operating_system": bounded(&host.operating_system, HOST_TEXT_BYTES_MAX),
        "kernel_version": bounded(&host.kernel_version, HOST_TEXT_BYTES_MAX),
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
pub(in crate::fleet) fn superseded() -> Status {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(bounded("short", 5), "short");
        assert_eq!(bounded("longer", 5), "longe…");
        assert_eq!(bounded("aé", 2), "a…");
        let long = HostFacts {
            hostname: "h".repeat(10_000),
            ..HostFacts::default()
        };
        assert!(host_facts(&long).to_string().len() < 1_000);
    }
}
