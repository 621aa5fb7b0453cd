//! Renewal that fails, or does not help.

use datasync_proto::agent_message::Message as FromAgent;
use tonic::Code;

use crate::agent::Agent;
use crate::control::FakeControl;

async fn third_heartbeat(control: &FakeControl) {
    control
        .until("three heartbeats", |all| {
            let is_heartbeat = |message: &&FromAgent| matches!(message, FromAgent::Heartbeat(_));
            all.iter().filter(is_heartbeat).nth(2).map(|_| ())
        })
        .await;
}

#[tokio::test]
async fn a_failed_renewal_keeps_no_agent_with_a_good_certificate_away() {
    let control = FakeControl::start().await;
    control.issue_old_certificates(true);
    control.refuse_renewals(Code::Internal);
    let mut agent = Agent::start(&control);
    agent.activate(&control).await;
    control.until_sessions(1).await;
    let refusals = control.refusals();
    third_heartbeat(&control).await;
    assert_eq!(control.sessions(), 1);
    assert_eq!(control.refusals(), refusals, "not asked again at once");
    agent.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_always_due_is_renewed_once() {
    let control = FakeControl::start().await;
    control.issue_old_certificates(true);
    let mut agent = Agent::start(&control);
    agent.activate(&control).await;
    control.until_sessions(1).await;
    third_heartbeat(&control).await;
    assert_eq!((control.sessions(), control.renewals()), (1, 1));
    agent.stop().await;
}

#[tokio::test]
async fn a_renewal_that_control_asks_for_and_refuses_makes_no_agent_reconnect_in_a_circle() {
    let control = FakeControl::start().await;
    control.ask_to_renew();
    control.refuse_renewals(Code::Internal);
    let mut agent = Agent::start(&control);
    agent.activate(&control).await;
    control.until_sessions(2).await;
    let refusals = control.refusals();
    third_heartbeat(&control).await;
    assert_eq!(control.sessions(), 2);
    assert_eq!(control.refusals(), refusals, "not asked again at once");
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_deleted_while_it_was_away_becomes_activatable() {
    let control = FakeControl::start().await;
    control.issue_old_certificates(true);
    let mut agent = Agent::start(&control);
    agent.activate(&control).await;
    control.until_sessions(1).await;
    control.refuse_renewals(Code::PermissionDenied);
    let mut agent = agent.restart().await;
    agent.activation_address().await;
    assert!(!agent.state_dir().join("identity/certificate.pem").exists());
    agent.stop().await;
}
