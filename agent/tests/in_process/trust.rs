//! Control is authenticated before anything is said.

use crate::agent::{Agent, get};
use crate::control::{Authority, FakeControl};

const TARGET: &str = "/?gatewayType=SYNC&activationRegion=us-east-1&no_redirect";

#[tokio::test]
async fn another_ca_is_refused() {
    let control = FakeControl::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let other = scratch.path().join("other.pem");
    std::fs::write(&other, Authority::new().pem()).unwrap();
    let change = [("control_ca", other.display().to_string())];
    let mut agent = Agent::start_trusting(&control, &change);
    let address = agent.activation_address().await;
    let reply = get(address, TARGET).await;
    assert_eq!(reply.status, 502);
    assert!(
        reply.body.contains("invalid peer certificate"),
        "{}",
        reply.body
    );
    assert!(control.requests().is_empty());
    agent.stop().await;
}

#[tokio::test]
async fn a_fingerprint_is_enough_and_must_be_right() {
    let control = FakeControl::start().await;
    let right = [("control_fingerprint", control.authority().fingerprint())];
    let mut agent = Agent::start_trusting(&control, &right);
    agent.activate(&control).await;
    control.until_sessions(1).await;
    agent.stop().await;

    let wrong = [("control_fingerprint", Authority::new().fingerprint())];
    let mut agent = Agent::start_trusting(&control, &wrong);
    let address = agent.activation_address().await;
    let reply = get(address, TARGET).await;
    assert_eq!(reply.status, 502);
    assert!(reply.body.contains("control_fingerprint"), "{}", reply.body);
    agent.stop().await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let control = FakeControl::start().await;
    let change = [("control_server_name", "control.example.com".to_owned())];
    let mut agent = Agent::start_with(&control, &change);
    let address = agent.activation_address().await;
    let reply = get(address, TARGET).await;
    assert_eq!(reply.status, 502);
    assert!(reply.body.contains("not valid for name"), "{}", reply.body);
    agent.stop().await;
}

#[tokio::test]
async fn the_agent_shows_its_certificate_and_renews_it() {
    let control = FakeControl::start().await;
    control.issue_old_certificates(true);
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    let key = get(address, TARGET).await.body;
    control.create_agent(&key);
    control.issue_old_certificates(false);
    control.until_sessions(1).await;
    assert_eq!(
        control.renewals(),
        1,
        "due at once: two thirds of its life are over"
    );
    let shown = control.peer();
    let kept = std::fs::read(agent.state_dir().join("identity/certificate.pem")).unwrap();
    let kept = x509_parser::pem::parse_x509_pem(&kept).unwrap().1.contents;
    assert_eq!(shown, kept);
    let mut agent = agent.restart().await;
    control.until_sessions(2).await;
    assert_eq!(control.renewals(), 1, "the renewed one is good for long");
    agent.stop().await;
}
