//! Secrets stay out of logs and state.

use std::path::Path;

use datasync_proto::Credentials;
use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::control_message::Message as ToAgent;

use crate::agent::{Agent, get};
use crate::capture;
use crate::control::FakeControl;

const SECRET: &str = "canary-secret-access-key";
const TOKEN: &str = "canary-session-token";
const PREISSUED: &str = "CANRY-CANRY-CANRY-CANRY-CANRY";

fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            // Sockets hold nothing.
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn secrets_are_in_no_log_and_only_the_key_is_on_disk() {
    let log = capture::log();
    let control = FakeControl::start().await;
    let preissued = [("activation_key", PREISSUED.to_owned())];
    let mut agent = Agent::start_with(&control, &preissued);
    let address = agent.activation_address().await;
    let reply = get(
        address,
        "/?gatewayType=SYNC&activationRegion=us-east-1&no_redirect",
    )
    .await;
    let shown_key = reply.body;
    control.create_agent(&shown_key);
    agent.active().await;
    control.until_sessions(1).await;
    let credentials = Credentials {
        location_arn: "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0"
            .to_owned(),
        access_key_id: "AKIDCANARY".to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: TOKEN.to_owned(),
        ..Credentials::default()
    };
    control.say(ToAgent::Credentials(credentials)).await;
    control.desire("one", 1, Vec::new(), Vec::new()).await;
    control
        .until("the generation", |all| {
            let applied = |message: &FromAgent| matches!(message, FromAgent::Applied(_));
            all.iter().any(applied).then_some(())
        })
        .await;
    let mut kept = Vec::new();
    files(&agent.state_dir(), &mut kept);
    agent.stop().await;
    let text = log.text();
    assert!(
        text.contains("session with control is open"),
        "the capture works"
    );
    let private_key = kept
        .iter()
        .find(|(path, _)| path.ends_with("key.pem"))
        .map(|(_, pem)| String::from_utf8(pem.clone()).unwrap())
        .unwrap();
    let private_line = private_key.lines().nth(1).unwrap();
    for secret in [
        SECRET,
        TOKEN,
        PREISSUED,
        &shown_key,
        "ticket-canary",
        private_line,
    ] {
        assert!(!text.contains(secret), "a log holds {secret}");
    }
    for (path, content) in kept {
        for secret in [SECRET, TOKEN, PREISSUED, &shown_key, "ticket-canary"] {
            assert!(!contains(&content, secret), "{path} holds {secret}");
        }
    }
}
