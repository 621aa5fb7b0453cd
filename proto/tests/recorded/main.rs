//! Messages of every release are decoded without a loss. That they are understood is tested where they
//! are: `agent/tests/in_process/recorded.rs` and `control/src/agent_side/tests/recorded.rs`.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

mod calls;
mod store;

use datasync_model::ActivationKey;
use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::control_message::Message as FromControl;
use datasync_proto::{
    AgentMessage, AwaitActivationRequest, AwaitActivationResponse, ClaimActivationKeyRequest,
    ClaimActivationKeyResponse, ControlMessage, FetchReleaseRequest, ReleasePart,
    RenewCertificateRequest, RenewCertificateResponse, RequestActivationKeyRequest,
    RequestActivationKeyResponse,
};
use serde::Serialize;
use serde_json::Value;
use store::{PRESENT, Said, bytes, releases};

/// Every message of that side, decoded, with the release that said it.
fn all<M: Said>() -> Vec<(String, M)> {
    let mut all = Vec::new();
    for release in releases() {
        for (kind, recorded) in bytes::<M>(&release) {
            let name = format!("{release}/{}/{kind}", M::SIDE);
            let message = M::decode(recorded.as_slice()).unwrap();
            assert_eq!(message.kind(), kind, "{name}");
            // A member that is not known any more would be gone.
            assert_eq!(message.encode_to_vec(), recorded, "{name}");
            all.push((name, message));
        }
    }
    all
}

/// Whether `new` has all that `old` has.
fn has_all(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => old.iter().all(|(name, old)| {
            let new = new.get(name);
            new.is_some_and(|new| has_all(new, old))
        }),
        (Value::Array(new), Value::Array(old)) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| has_all(new, old))
        }
        _ => new == old,
    }
}

fn assert_kept(name: &str, read: &impl Serialize, recorded: &str) {
    let read = serde_json::to_value(read).unwrap();
    let recorded = serde_json::from_str(recorded).unwrap();
    assert!(has_all(&read, &recorded), "{name}: {read} of {recorded}");
}

#[test]
fn what_agents_of_every_release_said_is_read_whole() {
    for (name, message) in all::<AgentMessage>() {
        match message.message.unwrap() {
            FromAgent::Execution(observed) => {
                assert_kept(&name, &observed.report().unwrap(), &observed.report_json);
            }
            FromAgent::Probed(probed) => {
                let failure = probed.result().unwrap_err();
                assert_eq!(failure.code.as_str(), probed.error_code, "{name}");
            }
            _ => {}
        }
    }
}

#[test]
fn what_controls_of_every_release_said_is_read_whole() {
    for (name, message) in all::<ControlMessage>() {
        let FromControl::Desired(desired) = message.message.unwrap() else {
            continue;
        };
        assert!(!desired.executions.is_empty() && !desired.probes.is_empty());
        for execution in &desired.executions {
            let spec = execution.spec().unwrap();
            execution.rate(&spec).unwrap();
            assert_kept(&name, &spec, &execution.spec_json);
        }
        for probe in &desired.probes {
            assert_kept(&name, &probe.location().unwrap(), &probe.location_json);
        }
    }
}

fn assert_recorded<M: Said>() {
    let kinds: Vec<_> = bytes::<M>(PRESENT).into_keys().collect();
    assert_eq!(kinds, M::KINDS, "record them: docs/testing.md");
}

#[test]
fn every_kind_of_message_of_this_release_is_recorded() {
    assert!(releases().iter().any(|release| release == PRESENT));
    assert_recorded::<AgentMessage>();
    assert_recorded::<ControlMessage>();
}

#[test]
fn every_call_of_this_release_is_recorded() {
    for side in ["request", "answer"] {
        let calls = calls::recorded(PRESENT, side);
        assert_eq!(calls, calls::REQUESTS, "record them: docs/testing.md");
    }
}

#[test]
fn what_agents_of_every_release_asked_is_read_whole() {
    for release in releases() {
        let asked: RequestActivationKeyRequest =
            calls::said(&release, "request_activation_key", "request");
        assert!(!asked.certificate_request.is_empty() && !asked.agent_version.is_empty());
        let asked: ClaimActivationKeyRequest =
            calls::said(&release, "claim_activation_key", "request");
        asked.activation_key.parse::<ActivationKey>().unwrap();
        let asked: AwaitActivationRequest = calls::said(&release, "await_activation", "request");
        assert!(!asked.ticket.is_empty());
        let asked: RenewCertificateRequest = calls::said(&release, "renew_certificate", "request");
        assert!(!asked.certificate_request.is_empty());
        let asked: FetchReleaseRequest = calls::said(&release, "fetch_release", "request");
        assert!(!asked.version.is_empty() && !asked.architecture.is_empty());
    }
}

#[test]
fn what_controls_of_every_release_answered_is_read_whole() {
    let assert_pem = |text: &str| assert!(text.starts_with("-----BEGIN CERTIFICATE-----"));
    for release in releases() {
        let told: RequestActivationKeyResponse =
            calls::said(&release, "request_activation_key", "answer");
        told.activation_key.parse::<ActivationKey>().unwrap();
        assert!(told.expires_at_seconds > 0 && !told.ticket.is_empty());
        let told: ClaimActivationKeyResponse =
            calls::said(&release, "claim_activation_key", "answer");
        assert!(!told.ticket.is_empty());
        let told: AwaitActivationResponse = calls::said(&release, "await_activation", "answer");
        let activated = told.activated.unwrap();
        assert!(activated.agent_arn.starts_with("arn:aws:datasync:"));
        assert_pem(&activated.certificate_chain);
        assert_pem(&activated.trust_anchors);
        let told: RenewCertificateResponse = calls::said(&release, "renew_certificate", "answer");
        assert_pem(&told.certificate_chain);
        assert_pem(&told.trust_anchors);
        let told: ReleasePart = calls::said(&release, "fetch_release", "answer");
        assert!(!told.data.is_empty());
    }
}
