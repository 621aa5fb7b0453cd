use datasync_model::AgentStatus;
use datasync_proto::control_message::Message as Down;
use datasync_proto::{ClaimActivationKeyRequest, RenewCertificateRequest};
use jiff::Timestamp;
use tonic::Code;

use super::world::{Attached, Control, Machine};
use crate::ca::Authority;
use crate::enrollment::{Origin, issue};
use crate::records::{ActivationKeyRecord, Agent, hash_of};

async fn claim(machine: &Machine, key: &str) -> Result<Vec<u8>, tonic::Status> {
    let request = ClaimActivationKeyRequest {
        certificate_request: machine.certificate_request(),
        activation_key: key.to_owned(),
        agent_version: "test".to_owned(),
    };
    let mut client = machine.enrollment().await;
    let answer = client.claim_activation_key(request).await?;
    Ok(answer.into_inner().ticket)
}

#[tokio::test]
async fn a_machine_becomes_an_agent_and_its_key_is_used_up() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let machine = Machine::new(&control);
    let key = machine.request_key().await.unwrap();
    let lifetime = key.expires_at_seconds - Timestamp::now().as_second();
    assert!((1700..=1800).contains(&lifetime), "{lifetime}");
    assert!(control.create_agent(&key.activation_key).await.is_some());
    assert_eq!(control.create_agent(&key.activation_key).await, None);
    let other = Machine::new(&control);
    let refused = claim(&other, &key.activation_key).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    // The answer may be lost: asking again gives a certificate again.
    for _ in 0..2 {
        let activated = machine.await_activation(&key.ticket).await.unwrap();
        assert!(activated.is_some());
    }
    let refused = machine.await_activation(b"guess").await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused}");
    control.stop().await;
}

#[tokio::test]
async fn waiting_ends_as_soon_as_the_agent_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let machine = Machine::new(&control);
    let key = machine.request_key().await.unwrap();
    let (activated, created) = tokio::join!(machine.await_activation(&key.ticket), async {
        tokio::task::yield_now().await;
        control.create_agent(&key.activation_key).await
    });
    assert_eq!(
        activated.unwrap().unwrap().agent_arn,
        created.unwrap().to_string()
    );
    control.stop().await;
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let machine = Machine::new(&control);
    let key = machine.request_key().await.unwrap();
    let hash = hash_of(&key.activation_key.parse().unwrap());
    control
        .store
        .commit(move |rows| {
            let mut row = rows.get::<ActivationKeyRecord>(&hash)?.unwrap();
            row.record.expires_at_ms = Timestamp::now().as_millisecond();
            rows.update(&row)
        })
        .await
        .unwrap();
    assert_eq!(control.create_agent(&key.activation_key).await, None);
    let refused = claim(&machine, &key.activation_key).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused}");
    let refused = machine.await_activation(&key.ticket).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused}");
    control.stop().await;
}

#[tokio::test]
async fn a_key_issued_beforehand_serves_one_machine_before_or_after_create_agent() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    for create_first in [true, false] {
        let key = issue(
            &control.store,
            Origin::Operator { agent_name: None },
            Timestamp::now(),
        )
        .await
        .unwrap()
        .key;
        let mut agent = None;
        if create_first {
            agent = control.create_agent(key.reveal()).await;
        }
        let machine = Machine::new(&control);
        let ticket = claim(&machine, key.reveal()).await.unwrap();
        if !create_first {
            agent = control.create_agent(key.reveal()).await;
        }
        let activated = machine.await_activation(&ticket).await.unwrap().unwrap();
        assert_eq!(activated.agent_arn, agent.unwrap().to_string());
        let refused = claim(&Machine::new(&control), key.reveal()).await;
        assert_eq!(refused.unwrap_err().code(), Code::AlreadyExists);
    }
    control.stop().await;
}

#[tokio::test]
async fn a_named_key_makes_its_agent_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let name = Some("rack 7".to_owned());
    let key = issue(
        &control.store,
        Origin::Operator {
            agent_name: name.clone(),
        },
        Timestamp::now(),
    )
    .await
    .unwrap()
    .key;
    let mut machine = Machine::new(&control);
    let ticket = claim(&machine, key.reveal()).await.unwrap();
    let activated = machine.await_activation(&ticket).await.unwrap().unwrap();
    machine.certificate = Some(activated.certificate_chain);
    let id = activated.agent_arn.rsplit('/').next().unwrap().to_owned();
    let agent = control
        .store
        .read(move |rows| rows.get::<Agent>(&id))
        .await
        .unwrap()
        .unwrap()
        .record;
    assert_eq!(agent.name, name);
    let attached = machine.attach("boot").await.unwrap();
    control.until_status(&agent.arn, AgentStatus::Online).await;
    drop(attached);
    control.stop().await;
}

#[tokio::test]
async fn strangers_reach_no_session_and_large_messages_no_handler() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let machine = Machine::new(&control);
    let channel = machine.connect(false).await.unwrap();
    let Err(refused) = Attached::open(channel, ("boot", Vec::new()), None).await else {
        panic!("a session without a certificate");
    };
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let request = RenewCertificateRequest {
        certificate_request: vec![0; 17 * 1024],
    };
    let answer = machine.enrollment().await.renew_certificate(request).await;
    assert_eq!(answer.unwrap_err().code(), Code::OutOfRange);
    let request = RenewCertificateRequest {
        certificate_request: vec![0; 5 * 1024],
    };
    let answer = machine.enrollment().await.renew_certificate(request).await;
    assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
    control.stop().await;
}

#[tokio::test]
async fn both_sides_refuse_a_wrong_ca() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let control = Control::start(directory.path()).await;
    let other = Authority::open(elsewhere.path(), Timestamp::now()).unwrap();
    let (mut machine, agent) = control.activated().await;
    let good = machine.trust.clone();
    machine.trust = other.pem().to_owned();
    assert!(machine.connect(false).await.is_err());
    machine.trust = good;
    let key = crate::ca::PublicKey::of_request(&machine.certificate_request()).unwrap();
    let lifetime = std::time::Duration::from_secs(3600);
    let forged = other
        .issue_agent(&agent, &key, Timestamp::now(), lifetime)
        .unwrap();
    machine.certificate = Some(forged.0);
    assert!(machine.attach("boot").await.is_err());
    assert_eq!(control.status(&agent).await, None);
    control.stop().await;
}

#[tokio::test]
async fn an_agent_whose_certificate_expired_gets_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (mut machine, agent) = control.activated().await;
    let key = crate::ca::PublicKey::of_request(&machine.certificate_request()).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let authority = &control.state.authority;
    let expired = authority.issue_agent(&agent, &key, Timestamp::now() - hour, hour / 2);
    machine.certificate = Some(expired.unwrap().0);
    assert!(machine.attach("boot").await.is_err());
    let request = RenewCertificateRequest {
        certificate_request: machine.certificate_request(),
    };
    let answer = machine.enrollment().await.renew_certificate(request).await;
    machine.certificate = Some(answer.unwrap().into_inner().certificate_chain);
    assert!(machine.attach("boot").await.is_ok());
    let stranger = RenewCertificateRequest {
        certificate_request: Machine::new(&control).certificate_request(),
    };
    let answer = machine.enrollment().await.renew_certificate(stranger).await;
    assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied);
    control.stop().await;
}

#[tokio::test]
async fn a_deleted_agent_is_told_whether_it_is_there_or_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    control.until_status(&agent, AgentStatus::Online).await;
    control.delete_agent(&agent).await;
    while !matches!(attached.next().await.unwrap(), Some(Down::Deactivate(_))) {}
    let channel = machine.connect(true).await.unwrap();
    let mut again = tonic::Request::new(tokio_stream::pending());
    again.set_timeout(super::world::PATIENCE);
    let mut client = datasync_proto::session_client::SessionClient::new(channel);
    let mut down = client.attach(again).await.unwrap().into_inner();
    let message = down.message().await.unwrap().unwrap().message;
    assert!(matches!(message, Some(Down::Deactivate(_))), "{message:?}");
    control.stop().await;
}
