//! Bundles in, bundles out, and wishes.

use std::path::PathBuf;

use datasync_proto::{BUNDLE_FORMAT, BundleManifest};
use serde_json::Value;

use super::*;
use crate::records::{Agent, ReleasePart, Tags};
use crate::state::{State, StatePlace};
use crate::store::StoreError;

struct Place {
    scratch: tempfile::TempDir,
}

fn version(text: &str) -> datasync_model::ReleaseVersion {
    text.parse().unwrap()
}

impl Place {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Self { scratch }
    }

    fn state(&self) -> StatePlace {
        StatePlace::from(&self.scratch.path().join("state"))
    }

    /// A bundle with a signature that no agent takes.
    fn bundle(&self, text: &str, program: &[u8]) -> (PathBuf, Vec<u8>) {
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, program);
        let manifest = BundleManifest {
            product: "datasync-agent".to_owned(),
            version: version(text),
            architecture: "x86_64".to_owned(),
            size: program.len() as u64,
            sha256: hex::encode(sum),
            made_at: "2026-11-26T00:00:00Z".to_owned(),
        };
        let manifest = serde_json::to_string(&manifest).unwrap();
        let seal = format!("{} {}", "0a".repeat(8), "1f".repeat(64));
        let lines = format!("{BUNDLE_FORMAT}\n{manifest}\n{seal}\n");
        let bundle = [lines.as_bytes(), program].concat();
        let path = self.scratch.path().join(format!("{text}.update"));
        std::fs::write(&path, &bundle).unwrap();
        (path, bundle)
    }

    /// What an agent gets by the parts.
    async fn parts(&self, id: &str) -> Vec<u8> {
        let state = State::open(self.state(), jiff::Timestamp::now()).unwrap();
        let id = id.to_owned();
        let read = state
            .store
            .read(move |rows| rows.list_children::<ReleasePart>(&id, None, usize::MAX));
        let rows: Result<Vec<_>, StoreError> = read.await;
        let rows = rows.unwrap();
        rows.iter()
            .flat_map(|row| row.record.bytes().unwrap())
            .collect()
    }

    async fn add_agent(&self, number: u8) -> datasync_model::AgentArn {
        let arn = crate::fleet::fixture::agent(number);
        let agent = Agent {
            arn: arn.clone(),
            name: None,
            created_at_ms: 0,
            public_key_fingerprint: None,
            tags: Tags::new(),
        };
        let state = State::open(self.state(), jiff::Timestamp::now()).unwrap();
        let inserted: Result<(), StoreError> =
            state.store.commit(move |rows| rows.insert(&agent)).await;
        inserted.unwrap();
        arn
    }
}

#[tokio::test]
async fn a_bundle_is_kept_in_parts_and_given_out_as_it_was() {
    let place = Place::new();
    // More than two commits of parts.
    let program: Vec<u8> = (0..4_000_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect();
    let (path, bundle) = place.bundle("1.2.3", &program);
    let added = add_release(place.state(), &path).await.unwrap();
    assert_eq!(added["Status"], "Complete");
    assert_eq!(added["Bytes"], bundle.len());
    assert_eq!(place.parts("1.2.3/x86_64").await, bundle);
    let again = add_release(place.state(), &path).await.unwrap_err();
    assert!(again.to_string().contains("there already"), "{again}");
    let (path, _) = place.bundle("1.2.3-rc.1", b"program");
    add_release(place.state(), &path).await.unwrap();
    let listed = list_releases(place.state()).await.unwrap();
    let versions: Vec<_> = listed
        .iter()
        .map(|one| one["Version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, ["1.2.3-rc.1", "1.2.3"]);
    remove_release(place.state(), version("1.2.3"))
        .await
        .unwrap();
    assert!(place.parts("1.2.3/x86_64").await.is_empty());
    remove_release(place.state(), version("1.2.3"))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn what_is_no_whole_bundle_is_refused() {
    let place = Place::new();
    let (path, bundle) = place.bundle("1.2.3", b"program");
    for (wrong, told) in [
        (&bundle[..bundle.len() - 1], "should have"),
        (&[&bundle[..], b"x"].concat(), "should have"),
        (&bundle[..20], "cut off"),
        (&b"#!/bin/sh\n"[..], "not a bundle"),
        (&[&bundle[..bundle.len() - 1], b"x"].concat(), "damaged"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        let error = add_release(place.state(), &path)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(told), "{error}");
    }
    assert_eq!(
        list_releases(place.state()).await.unwrap(),
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn a_release_that_agents_should_run_stays() {
    let place = Place::new();
    let agent = place.add_agent(1).await;
    let wish = |agents: &[&datasync_model::AgentArn], text: Option<&str>| NewWish {
        agents: agents.iter().map(|agent| (*agent).clone()).collect(),
        version: text.map(version),
        drain: false,
        allow_downgrade: false,
    };
    let unknown = set_release(place.state(), wish(&[], Some("1.2.3"))).await;
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .contains("no release 1.2.3")
    );
    for text in ["1.2.3", "1.2.4"] {
        let (path, _) = place.bundle(text, b"program");
        add_release(place.state(), &path).await.unwrap();
    }
    let stranger = crate::fleet::fixture::agent(9);
    let unknown = set_release(place.state(), wish(&[&stranger], Some("1.2.3"))).await;
    assert!(unknown.unwrap_err().to_string().contains("no agent"));
    set_release(place.state(), wish(&[], Some("1.2.3")))
        .await
        .unwrap();
    set_release(place.state(), wish(&[&agent], Some("1.2.4")))
        .await
        .unwrap();
    let wanted = async || {
        let shown = list_agents(place.state(), Some(agent.clone()))
            .await
            .unwrap();
        shown[0]["Wanted"]["Version"].clone()
    };
    assert_eq!(wanted().await, "1.2.4");
    let refused = remove_release(place.state(), version("1.2.4"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains(&agent.to_string()),
        "{refused}"
    );
    let refused = remove_release(place.state(), version("1.2.3"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("every agent"), "{refused}");
    set_release(place.state(), wish(&[&agent], None))
        .await
        .unwrap();
    assert_eq!(
        wanted().await,
        Value::Null,
        "its own wish is to stay as it is"
    );
    set_release(place.state(), wish(&[], Some("1.2.4")))
        .await
        .unwrap();
    assert_eq!(wanted().await, "1.2.4", "the wish for all takes its place");
    set_release(place.state(), wish(&[], None)).await.unwrap();
    remove_release(place.state(), version("1.2.4"))
        .await
        .unwrap();
    assert_eq!(list_agents(place.state(), None).await.unwrap().len(), 1);
}
