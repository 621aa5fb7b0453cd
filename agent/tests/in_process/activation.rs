//! Becoming a member, over HTTP and with a key issued beforehand.

use std::time::Duration;

use datasync_agent::Phase;
use tokio::net::TcpStream;

use crate::agent::{Agent, get};
use crate::control::{ARN, FakeControl};

const KEY: &str = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";
const TARGET: &str = "/?gatewayType=SYNC&activationRegion=us-east-1";

#[tokio::test]
async fn a_redirect_carries_the_key_and_the_port_closes_after_activation() {
    let control = FakeControl::start().await;
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    let first = get(address, TARGET).await;
    let second = get(address, &format!("{TARGET}&endpointType=FIPS")).await;
    assert_eq!((first.status, second.status), (302, 302));
    let key = first.redirected("activationKey").unwrap();
    assert_ne!(second.redirected("activationKey").unwrap(), key);
    assert_eq!(second.redirected("endpointType").unwrap(), "FIPS");
    assert_eq!(first.redirected("activationRegion").unwrap(), "us-east-1");
    assert!(first.redirected("errorType").is_none());
    // Either key will do, also the one that was not shown last.
    control.create_agent(&key);
    agent.active().await;
    assert!(TcpStream::connect(address).await.is_err());
    control.until_sessions(1).await;
    agent.stop().await;
}

#[tokio::test]
async fn without_redirect_the_key_comes_alone_and_faults_in_words() {
    let control = FakeControl::start().await;
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    for spelling in ["&no_redirect", "&no_redirect="] {
        let reply = get(address, &format!("{TARGET}{spelling}")).await;
        assert_eq!(reply.status, 200);
        assert!(reply.location.is_none());
        assert_eq!(reply.body.len(), 29, "{:?}", reply.body);
    }
    let reply = get(address, "/?gatewayType=SYNC").await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("activationRegion"), "{}", reply.body);
    assert_eq!(get(address, "/favicon.ico").await.status, 404);
    agent.stop().await;
}

#[tokio::test]
async fn requests_are_rate_limited() {
    let control = FakeControl::start().await;
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(get(address, TARGET).await.status);
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    agent.stop().await;
}

#[tokio::test]
async fn control_away_is_reported_both_ways_and_the_agent_waits_on() {
    let mut control = FakeControl::start().await;
    control.stop().await;
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    let reply = get(address, TARGET).await;
    assert_eq!(reply.status, 302);
    assert_eq!(
        reply.redirected("errorType").as_deref(),
        Some("ENDPOINT_UNREACHABLE")
    );
    assert!(reply.redirected("activationKey").is_none());
    let reply = get(address, &format!("{TARGET}&no_redirect")).await;
    assert_eq!(reply.status, 502);
    assert!(
        reply.body.contains("cannot connect to control"),
        "{}",
        reply.body
    );
    control.come_back().await;
    agent.activate(&control).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_key_issued_beforehand_activates_without_http() {
    let control = FakeControl::start().await;
    control.issue_key(KEY);
    let mut agent = Agent::start_with(&control, &[("activation_key", KEY.to_owned())]);
    control.until_claimed(KEY).await;
    control.create_agent(KEY);
    agent.active().await;
    control.until_sessions(1).await;
    // The key is used up, and of no interest to an agent that is a member.
    let mut agent = agent.restart().await;
    control.until_sessions(2).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_refused_key_falls_back_to_http() {
    let control = FakeControl::start().await;
    let mut agent = Agent::start_with(&control, &[("activation_key", KEY.to_owned())]);
    agent.activate(&control).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_waiting_for_activation_stops_when_told() {
    let control = FakeControl::start().await;
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    // A client that says nothing does not hold it up.
    let _silent = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    agent.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_agent_created_unnoticed_is_found_at_the_next_start() {
    let control = FakeControl::start().await;
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    let key = get(address, &format!("{TARGET}&no_redirect")).await.body;
    control.create_agent_unnoticed(&key);
    let mut agent = agent.restart().await;
    agent.active().await;
    assert_eq!(agent.phase.borrow().clone(), active());
    control.until_sessions(1).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_created_unnoticed_is_found_when_a_key_is_asked_for() {
    let control = FakeControl::start().await;
    let mut agent = Agent::start(&control);
    let address = agent.activation_address().await;
    let target = format!("{TARGET}&no_redirect");
    let key = get(address, &target).await.body;
    control.create_agent_unnoticed(&key);
    let refused = get(address, &target).await;
    assert_ne!(refused.status, 200);
    agent.active().await;
    assert_eq!(agent.phase.borrow().clone(), active());
    control.until_sessions(1).await;
    agent.stop().await;
}

fn active() -> Phase {
    Phase::Active {
        arn: ARN.parse().unwrap(),
    }
}
