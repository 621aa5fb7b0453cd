//! Strangers at the agents' port, while an agent works.

use datasync_model::AgentStatus;
use datasync_proto::control_message::Message as Down;
use datasync_proto::enrollment_client::EnrollmentClient;
use datasync_proto::session_client::SessionClient;
use datasync_proto::{AgentMessage, AwaitActivationRequest, RequestActivationKeyRequest};
use futures::stream::{self, StreamExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Channel;

use super::world::{Attached, Control, Machine};

/// More than the port has places for strangers of one address.
const FLOOD: usize = 150;

/// The agent is heard and answered: nobody has pushed it out.
async fn still_works(control: &Control, attached: &mut Attached, agent: &datasync_model::AgentArn) {
    attached.heartbeat(AgentStatus::Online).await;
    while !matches!(attached.next().await.unwrap(), Some(Down::HeartbeatAck(_))) {}
    assert_eq!(control.status(agent).await, Some(AgentStatus::Online));
}

/// Tries `number` connections; those on which the server answered, which are still open.
async fn let_in(stranger: &Machine, number: usize) -> Vec<Channel> {
    stream::iter(0..number)
        .map(|_| async {
            let channel = stranger.connect(false).await.ok()?;
            let request = AwaitActivationRequest {
                ticket: b"guess".to_vec(),
            };
            let mut client = EnrollmentClient::new(channel.clone());
            let status = client.await_activation(request).await.unwrap_err();
            let answered = matches!(status.code(), Code::NotFound | Code::ResourceExhausted);
            answered.then_some(channel)
        })
        .buffer_unordered(16)
        .filter_map(std::future::ready)
        .collect()
        .await
}

#[tokio::test]
async fn a_flood_of_connections_leaves_the_agent_online() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    control.until_status(&agent, AgentStatus::Online).await;
    let kept = let_in(&Machine::new(&control), FLOOD).await;
    assert!(
        (1..=64).contains(&kept.len()),
        "a bound for one address: {}",
        kept.len()
    );
    still_works(&control, &mut attached, &agent).await;
    let mut silent = Vec::new();
    for _ in 0..FLOOD {
        silent.push(TcpStream::connect(control.address).await.unwrap());
    }
    still_works(&control, &mut attached, &agent).await;
    control.stop().await;
}

/// Strangers of five addresses take every place that strangers have.
#[tokio::test]
async fn an_agent_gets_in_while_strangers_hold_every_place() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let mut strangers = Vec::new();
    for last in 2..7 {
        let stranger = Machine {
            local: Some([127, 0, 0, last].into()),
            ..Machine::new(&control)
        };
        strangers.extend(let_in(&stranger, 64).await);
    }
    assert_eq!(strangers.len(), 256, "the total has a bound");
    let mut attached = machine.attach("boot").await.unwrap();
    control.until_status(&agent, AgentStatus::Online).await;
    still_works(&control, &mut attached, &agent).await;
    control.stop().await;
}

#[tokio::test]
async fn a_flood_of_calls_leaves_the_agent_online() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let channel = Machine::new(&control).connect(false).await.unwrap();
    let codes: Vec<Code> = stream::iter(0..1000)
        .map(|_| {
            let mut client = EnrollmentClient::new(channel.clone());
            async move {
                let request = AwaitActivationRequest {
                    ticket: b"guess".to_vec(),
                };
                client.await_activation(request).await.unwrap_err().code()
            }
        })
        .buffer_unordered(256)
        .collect()
        .await;
    assert!(codes.contains(&Code::ResourceExhausted), "calls are paced");
    // Sessions are for agents: no stream is opened for a stranger.
    for _ in 0..20 {
        let mut client = SessionClient::new(channel.clone());
        let refused = client.attach(stream::pending::<AgentMessage>()).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    still_works(&control, &mut attached, &agent).await;
    control.stop().await;
}

#[tokio::test]
async fn oversized_messages_are_refused_unread() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let channel = Machine::new(&control).connect(false).await.unwrap();
    for _ in 0..10 {
        let request = RequestActivationKeyRequest {
            certificate_request: vec![0; 3 << 20],
            activation_region: String::new(),
            agent_version: String::new(),
        };
        let mut client = EnrollmentClient::new(channel.clone());
        let refused = client.request_activation_key(request).await.unwrap_err();
        assert!(
            matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted),
            "{refused}"
        );
    }
    still_works(&control, &mut attached, &agent).await;
    control.stop().await;
}
