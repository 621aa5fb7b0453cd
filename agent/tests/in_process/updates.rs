//! Updates of an agent that runs: by control's wish, and by hand. A test starts the agent anew, as the
//! packaged program would.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datasync_agent::{Running, UpdateOptions, update};
use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::{BUNDLE_FORMAT, BundleManifest, DesiredRelease, UpdateStatus};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::agent::Agent;
use crate::control::FakeControl;

const VERSION: &str = "9.9.9";
/// As short as it can be configured.
const TRIAL: Duration = Duration::from_secs(5);

pub(crate) struct Signer {
    key: KeyPair,
    scratch: tempfile::TempDir,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("key.pem"), key.public_key_pem()).unwrap();
        Self { key, scratch }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("release_keys", self.scratch.path().display().to_string()),
            ("update_trial_seconds", TRIAL.as_secs().to_string()),
        ]
    }

    fn bundle(&self, version: &str) -> Vec<u8> {
        let program = b"#!/bin/sh\nexit 1\n";
        let manifest = BundleManifest {
            product: "datasync-agent".to_owned(),
            version: version.parse().unwrap(),
            architecture: std::env::consts::ARCH.to_owned(),
            size: program.len() as u64,
            sha256: hex::encode(Sha256::digest(program)),
            made_at: "2026-11-26T00:00:00Z".to_owned(),
        };
        let manifest = serde_json::to_string(&manifest).unwrap();
        let signed = format!("{BUNDLE_FORMAT}\n{manifest}\n");
        let signature = hex::encode(self.key.sign(signed.as_bytes()).unwrap());
        let id = hex::encode(Sha256::digest(self.key.subject_public_key_info()));
        let lines = format!("{signed}{} {signature}\n", &id[..16]);
        [lines.as_bytes(), program].concat()
    }

    fn file(&self, version: &str) -> PathBuf {
        let path = self.scratch.path().join(format!("{version}.update"));
        std::fs::write(&path, self.bundle(version)).unwrap();
        path
    }
}

fn current(agent: &Agent) -> Value {
    let path = agent.state_dir().join("releases/current.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What the packaged program does before it starts what is in line: it counts the start.
fn count_start(agent: &Agent) {
    let mut current = current(agent);
    assert_eq!(current["candidate"]["starts"], 0);
    current["candidate"]["starts"] = 1.into();
    let path = agent.state_dir().join("releases/current.json");
    std::fs::write(path, current.to_string()).unwrap();
}

fn release() -> Running {
    Running::embedded().as_release(VERSION.parse().unwrap())
}

async fn member(control: &FakeControl, signer: &Signer) -> Agent {
    let mut agent = Agent::start_with(control, &signer.settings());
    agent.activate(control).await;
    control.until_sessions(1).await;
    agent
}

pub(crate) fn wish(request: &str) -> DesiredRelease {
    DesiredRelease {
        version: VERSION.to_owned(),
        request_id: request.to_owned(),
        drain: false,
        allow_downgrade: false,
    }
}

/// Waits until the agent says so.
async fn until_told(control: &FakeControl, state: &str) -> UpdateStatus {
    let told = |all: &[FromAgent]| {
        let mut told = all.iter().rev().filter_map(|message| match message {
            FromAgent::Heartbeat(heartbeat) => heartbeat.update.clone(),
            _ => None,
        });
        told.find(|told| told.state == state)
    };
    control.until(state, told).await
}

#[tokio::test]
async fn what_control_wishes_is_fetched_started_and_confirmed() {
    let (control, signer) = (FakeControl::start().await, Signer::new());
    let mut agent = member(&control, &signer).await;
    let first = until_told(&control, "NONE").await;
    assert_eq!(first.version, "");
    control.offer(signer.bundle(VERSION));
    control.desire_release(1, Some(wish("one"))).await;
    agent.ends_to_restart().await;
    assert_eq!(current(&agent)["candidate"]["release"]["version"], VERSION);
    count_start(&agent);
    control.forget_received();
    let mut agent = agent.start_again(release());
    let told = until_told(&control, "CONFIRMED").await;
    assert_eq!(
        (told.version.as_str(), told.request_id.as_str()),
        (VERSION, "one")
    );
    assert_eq!(current(&agent)["confirmed"]["version"], VERSION);
    // The same wish again is no news.
    control.desire_release(2, Some(wish("one"))).await;
    control.desire("i", 3, Vec::new(), Vec::new()).await;
    until_told(&control, "CONFIRMED").await;
    assert_eq!(control.fetches(), 1);
    agent.stop().await;
}

#[tokio::test]
async fn what_does_not_reach_control_is_taken_back_and_not_tried_again_for_the_same_wish() {
    let (mut control, signer) = (FakeControl::start().await, Signer::new());
    let mut agent = member(&control, &signer).await;
    control.offer(signer.bundle(VERSION));
    control.desire_release(1, Some(wish("one"))).await;
    agent.ends_to_restart().await;
    count_start(&agent);
    control.stop().await;
    let mut agent = agent.start_again(release());
    agent.ends_to_restart().await;
    let after = current(&agent);
    assert_eq!(after["candidate"], Value::Null);
    let reason = after["last"]["rolled_back"].as_str().unwrap();
    assert!(
        reason.contains("did not reach control within 5 s"),
        "{reason}"
    );
    control.come_back().await;
    control.forget_received();
    let mut agent = agent.start_again(Running::embedded());
    let told = until_told(&control, "ROLLED_BACK").await;
    assert_eq!(told.request_id, "one");
    assert!(told.detail.contains("did not reach control"), "{told:?}");
    control.desire_release(2, Some(wish("one"))).await;
    control.desire_release(3, Some(wish("two"))).await;
    agent.ends_to_restart().await;
    assert_eq!(control.fetches(), 2, "only the other wish is followed");
    agent.start_again(Running::embedded()).stop().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_met_is_told_with_its_reason() {
    let (control, signer) = (FakeControl::start().await, Signer::new());
    let mut agent = member(&control, &signer).await;
    control.desire_release(1, Some(wish("one"))).await;
    let told = until_told(&control, "REFUSED").await;
    assert!(
        told.detail.contains("control does not give the release"),
        "{told:?}"
    );
    control.forget_received();
    control.offer(Signer::new().bundle(VERSION));
    control.desire_release(2, Some(wish("two"))).await;
    let told = until_told(&control, "REFUSED").await;
    assert!(told.detail.contains("not among release_keys"), "{told:?}");
    control.forget_received();
    control.offer(signer.bundle("9.9.8"));
    control.desire_release(3, Some(wish("three"))).await;
    let told = until_told(&control, "REFUSED").await;
    assert!(told.detail.contains("is of 9.9.8"), "{told:?}");
    assert_eq!(current(&agent)["candidate"], Value::Null);
    control.forget_received();
    control.desire_release(4, None).await;
    until_told(&control, "NONE").await;
    agent.stop().await;
}

fn options(agent: &Agent, file: PathBuf) -> UpdateOptions {
    UpdateOptions {
        state_dir: agent.state_dir(),
        trial: TRIAL,
        file: Some(file),
        drain: false,
        allow_downgrade: false,
        wait: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn a_bundle_by_hand_is_installed_and_its_outcome_is_waited_for() {
    let (control, signer) = (FakeControl::start().await, Signer::new());
    let mut agent = member(&control, &signer).await;
    let steps = AtomicUsize::new(0);
    let tell = |_: &str| {
        steps.fetch_add(1, Ordering::Relaxed);
    };
    let refused = |text: &'static str, made: PathBuf| {
        let options = options(&agent, made);
        let tell = &tell;
        async move {
            let error = update(&options, tell).await.unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    };
    refused("is older than", signer.file("0.0.1")).await;
    refused("not among release_keys", Signer::new().file(VERSION)).await;
    let cut = signer.file("9.9.7");
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    refused("cut off", cut).await;
    assert_eq!(steps.load(Ordering::Relaxed), 0);
    let options = options(&agent, signer.file(VERSION));
    let mut updating = JoinSet::new();
    updating.spawn(async move { update(&options, |_| ()).await });
    agent.ends_to_restart().await;
    count_start(&agent);
    let mut agent = agent.start_again(release());
    updating.join_next().await.unwrap().unwrap().unwrap();
    let packaged = UpdateOptions {
        file: None,
        ..self::options(&agent, PathBuf::new())
    };
    update(&packaged, |_| ()).await.unwrap();
    agent.ends_to_restart().await;
    assert_eq!(current(&agent)["confirmed"], Value::Null);
    let mut agent = agent.start_again(Running::embedded());
    agent.active().await;
    let left = std::fs::read_dir(agent.state_dir().join("releases")).unwrap();
    assert_eq!(left.count(), 1, "only the standing");
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_no_member_yet_is_not_updated() {
    let (control, signer) = (FakeControl::start().await, Signer::new());
    let mut agent = Agent::start_with(&control, &signer.settings());
    agent.activation_address().await;
    let options = options(&agent, signer.file(VERSION));
    let error = update(&options, |_| ()).await.unwrap_err().to_string();
    assert!(error.contains("not activated"), "{error}");
    agent.stop().await;
    let error = update(&options, |_| ()).await.unwrap_err().to_string();
    assert!(error.contains("no agent answers"), "{error}");
}
