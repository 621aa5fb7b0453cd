//! Releases for agents: wished, fetched over the session's connection, told of.

use std::path::PathBuf;
use std::time::Duration;

use datasync_model::AgentStatus;
use datasync_proto::agent_message::Message as Up;
use datasync_proto::session_client::SessionClient;
use datasync_proto::{
    BUNDLE_FORMAT, BundleManifest, DesiredRelease, FetchReleaseRequest, Heartbeat, UpdateStatus,
};
use serde_json::Value;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::replicas::{Replicas, at};
use super::world::{Attached, Control};
use crate::releases::{NewWish, add_release, list_agents, set_release};
use crate::state::StatePlace;

/// More than a connection holds before it is read.
const PROGRAM_BYTES: usize = 8_000_000;

pub(super) fn bundle(directory: &std::path::Path) -> (PathBuf, Vec<u8>) {
    let program = vec![7; PROGRAM_BYTES];
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &program);
    let manifest = BundleManifest {
        product: "datasync-agent".to_owned(),
        version: "1.2.3".parse().unwrap(),
        architecture: "x86_64".to_owned(),
        size: program.len() as u64,
        sha256: hex::encode(sum),
        made_at: "2026-11-26T00:00:00Z".to_owned(),
    };
    let manifest = serde_json::to_string(&manifest).unwrap();
    let seal = format!("{} {}", "0a".repeat(8), "1f".repeat(64));
    let lines = format!("{BUNDLE_FORMAT}\n{manifest}\n{seal}\n");
    let bundle = [lines.as_bytes(), &program].concat();
    let path = directory.join("bundle");
    std::fs::write(&path, &bundle).unwrap();
    (path, bundle)
}

fn for_all() -> NewWish {
    NewWish {
        agents: Vec::new(),
        version: Some("1.2.3".parse().unwrap()),
        drain: true,
        allow_downgrade: false,
    }
}

async fn fetch(channel: Channel, version: &str, architecture: &str) -> Result<Vec<u8>, Status> {
    let request = FetchReleaseRequest {
        version: version.to_owned(),
        architecture: architecture.to_owned(),
    };
    let mut parts = SessionClient::new(channel)
        .fetch_release(request)
        .await?
        .into_inner();
    let mut fetched = Vec::new();
    while let Some(part) = parts.message().await? {
        fetched.extend(part.data);
    }
    Ok(fetched)
}

async fn wished(attached: &mut Attached) -> DesiredRelease {
    let desired = attached.desired(|desired| desired.release.is_some()).await;
    desired.release.unwrap()
}

/// What `agent show` says, once the update of the agent is in `state`.
async fn shown(place: impl Fn() -> StatePlace, control: &Control, state: &str) -> Value {
    let mut changes = control.store.changes();
    let told = async {
        loop {
            let shown = list_agents(place(), None).await.unwrap().remove(0);
            if shown["Update"]["State"] == state {
                return shown;
            }
            changes.changed().await.unwrap();
        }
    };
    let told = tokio::time::timeout(super::world::PATIENCE, told).await;
    told.expect("the agent's word is written down")
}

async fn say(attached: &Attached, update: UpdateStatus) {
    attached
        .send(Up::Heartbeat(Heartbeat {
            status: AgentStatus::Online.to_string(),
            host: None,
            sent_milliseconds: 0,
            update: Some(update),
        }))
        .await;
}

#[tokio::test]
async fn a_release_is_wished_fetched_and_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let place = || StatePlace::from(directory.path());
    let scratch = tempfile::tempdir().unwrap();
    let (path, bundle) = bundle(scratch.path());
    add_release(place(), &path).await.unwrap();
    let (machine, agent) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| desired.release.is_none()).await;
    set_release(place(), for_all()).await.unwrap();
    let release = wished(&mut attached).await;
    assert_eq!((release.version.as_str(), release.drain), ("1.2.3", true));
    let channel = machine.connect(true).await.unwrap();
    let fetched = fetch(channel.clone(), "1.2.3", "x86_64").await.unwrap();
    assert!(fetched == bundle);
    for (version, architecture) in [("1.2.4", "x86_64"), ("1.2.3", "vax"), ("..", "/")] {
        let refused = fetch(channel.clone(), version, architecture).await;
        assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    }
    let stranger = machine.connect(false).await.unwrap();
    let refused = fetch(stranger, "1.2.3", "x86_64").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let update = UpdateStatus {
        state: "ROLLED_BACK".to_owned(),
        version: "1.2.3".to_owned(),
        request_id: release.request_id,
        detail: "é".repeat(1000),
    };
    say(&attached, update).await;
    let shown = shown(place, &control, "ROLLED_BACK").await;
    assert_eq!(shown["AgentArn"], agent.to_string());
    assert_eq!(shown["Wanted"]["Version"], "1.2.3");
    assert_eq!(shown["Update"]["ByControl"], true);
    assert_eq!(
        shown["Update"]["Detail"],
        "é".repeat(512),
        "its length is bounded"
    );
    control.delete_agent(&agent).await;
    let refused = fetch(channel, "1.2.3", "x86_64").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    control.stop().await;
}

#[tokio::test]
async fn an_agent_fetches_one_release_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let scratch = tempfile::tempdir().unwrap();
    let (path, bundle) = bundle(scratch.path());
    add_release(directory.path(), &path).await.unwrap();
    let (machine, _) = control.activated().await;
    let channel = machine.connect(true).await.unwrap();
    let request = FetchReleaseRequest {
        version: "1.2.3".to_owned(),
        architecture: "x86_64".to_owned(),
    };
    let first = SessionClient::new(channel.clone())
        .fetch_release(request)
        .await;
    let first = first.unwrap();
    let second = fetch(channel.clone(), "1.2.3", "x86_64").await;
    let second = second.map(|bundle| bundle.len()).unwrap_err();
    assert_eq!(second.code(), Code::ResourceExhausted);
    drop(first);
    let third = async {
        loop {
            match fetch(channel.clone(), "1.2.3", "x86_64").await {
                Ok(fetched) => return fetched,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let third = tokio::time::timeout(super::world::PATIENCE, third).await;
    assert!(third.unwrap() == bundle);
    control.stop().await;
}

#[tokio::test]
async fn every_replica_has_the_wish_and_the_release() {
    let replicas = Replicas::new();
    let (a, b) = (replicas.start("a").await, replicas.start("b").await);
    let scratch = tempfile::tempdir().unwrap();
    let (path, bundle) = bundle(scratch.path());
    add_release(replicas.place(), &path).await.unwrap();
    let (machine, _) = a.activated().await;
    set_release(replicas.place(), for_all()).await.unwrap();
    let mut attached = machine.attach("boot").await.unwrap();
    let release = wished(&mut attached).await;
    let machine = at(&machine, &b);
    let mut attached = machine.attach("boot").await.unwrap();
    assert_eq!(wished(&mut attached).await, release);
    let channel = machine.connect(true).await.unwrap();
    let fetched = fetch(channel, "1.2.3", "x86_64").await.unwrap();
    assert!(fetched == bundle);
    let update = UpdateStatus {
        state: "CONFIRMED".to_owned(),
        version: "1.2.3".to_owned(),
        request_id: release.request_id,
        detail: String::new(),
    };
    say(&attached, update).await;
    shown(|| replicas.place(), &a, "CONFIRMED").await;
    a.stop().await;
    b.stop().await;
}
