//! One CA takes the place of another while an agent is connected.

use std::path::Path;
use std::time::Duration;

use datasync_model::{AgentArn, AgentStatus};
use datasync_proto::RenewCertificateRequest;
use datasync_proto::control_message::Message as Down;
use jiff::Timestamp;

use super::world::{Attached, Control, Machine};
use crate::ca_rotation::{CaRotationError, ca_status, rotate_ca};
use crate::records::AuthorityRotation;
use crate::store::StoreError;

const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Takes a step, as if the stage before it were old enough; control notices.
async fn step(control: &Control, directory: &Path) -> Result<String, CaRotationError> {
    let minute_ms = 60_000;
    let aged = control.store.commit(move |rows| {
        let Some(mut row) = rows.get::<AuthorityRotation>(AuthorityRotation::ID)? else {
            return Ok::<_, StoreError>(());
        };
        row.record.age(minute_ms);
        rows.update(&row)
    });
    aged.await.unwrap();
    let status = rotate_ca(directory, LIFETIME).await;
    control.authorities.look(Timestamp::now()).await.unwrap();
    status.map(|status| status.to_string())
}

async fn until_asked(attached: &mut Attached) {
    while !matches!(attached.next().await.unwrap(), Some(Down::Renew(_))) {}
}

/// What the agent does when it is asked: its session ends, and a new one begins.
async fn renew(machine: &mut Machine) -> Attached {
    let request = RenewCertificateRequest {
        certificate_request: machine.certificate_request(),
    };
    let answer = machine.enrollment().await.renew_certificate(request).await;
    let answer = answer.unwrap().into_inner();
    machine.certificate = Some(answer.certificate_chain);
    machine.trust = answer.trust_anchors;
    machine.attach_patiently("boot").await
}

fn refused(result: Result<String, CaRotationError>, agent: &AgentArn) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(&agent.to_string()), "{error}");
}

#[tokio::test]
async fn an_agent_follows_step_by_step_and_no_step_is_taken_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (mut machine, agent) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let old = control.state.authority.clone();

    let introduced = step(&control, directory.path()).await.unwrap();
    assert!(introduced.contains("introduced"), "{introduced}");
    let trusted = control.authorities.trusted();
    assert_eq!(trusted.fingerprints().len(), 2);
    assert_eq!(trusted.issuer().fingerprint(), old.fingerprint());
    until_asked(&mut attached).await;
    refused(step(&control, directory.path()).await, &agent);
    let mut attached = renew(&mut machine).await;
    assert_eq!(machine.trust.matches("BEGIN CERTIFICATE").count(), 2);

    let issuing = step(&control, directory.path()).await.unwrap();
    assert!(issuing.contains("issuing"), "{issuing}");
    let next = control.authorities.trusted().issuer().clone();
    assert_ne!(next.fingerprint(), old.fingerprint());
    until_asked(&mut attached).await;
    refused(step(&control, directory.path()).await, &agent);
    let old_certificate = machine.certificate.clone();
    let mut attached = renew(&mut machine).await;

    let finished = step(&control, directory.path()).await.unwrap();
    assert!(finished.contains("no rotation"), "{finished}");
    let trusted = control.authorities.trusted();
    assert_eq!(trusted.fingerprints(), [next.fingerprint()]);
    attached.heartbeat(AgentStatus::Online).await;
    while !matches!(attached.next().await.unwrap(), Some(Down::HeartbeatAck(_))) {}
    assert_eq!(control.status(&agent).await, Some(AgentStatus::Online));
    drop(attached);
    machine.attach_patiently("boot").await;
    machine.certificate = old_certificate;
    assert!(machine.attach("boot").await.is_err(), "the old CA is gone");
    control.stop().await;
}

#[tokio::test]
async fn a_rotation_outlives_a_restart_and_a_backup() {
    let all = tempfile::tempdir().unwrap();
    let [live, saved, back] = ["live", "saved", "back"].map(|name| all.path().join(name));
    let control = Control::start(&live).await;
    step(&control, &live).await.unwrap();
    step(&control, &live).await.unwrap();
    let before = control.authorities.trusted();
    control.stop().await;
    crate::backup::back_up(&(&live).into(), &saved).unwrap();
    crate::backup::restore(&(&back).into(), &saved)
        .await
        .unwrap();
    for directory in [&live, &back] {
        let control = Control::start(directory).await;
        let trusted = control.authorities.trusted();
        assert_eq!(trusted.fingerprints(), before.fingerprints());
        assert_eq!(
            trusted.issuer().fingerprint(),
            before.issuer().fingerprint()
        );
        control.stop().await;
    }
}

#[tokio::test]
async fn whoever_stays_away_is_waited_for_until_its_certificate_ends() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (_, agent) = control.activated().await;
    step(&control, directory.path()).await.unwrap();
    refused(step(&control, directory.path()).await, &agent);
    let status = ca_status(directory.path(), LIFETIME).await.unwrap();
    assert!(status.to_string().contains(&agent.to_string()), "{status}");
    control.delete_agent(&agent).await;
    step(&control, directory.path()).await.unwrap();
    control.stop().await;
}
