//! Keys of an assumed role, on their way to an agent and replaced before they expire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datasync_model::StorageClass;
use datasync_proto::Credentials;
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::work::add_task_to;
use super::world::Control;
use crate::config::{Role, RoleKind};
use crate::records::{LocationDetails, S3Details};

pub(super) const ROLE: &str = "arn:aws:iam::000000000000:role/assumed";
const LIFETIME: SignedDuration = SignedDuration::from_secs(15);

/// Reads one request to the end of its body.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            head.to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
                .is_some_and(|length| body.len() >= length)
        });
        if whole || read == 0 {
            return text;
        }
    }
}

/// An STS whose keys are numbered and live for [`LIFETIME`].
async fn sts(listener: TcpListener, calls: Arc<AtomicUsize>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
        answer_keys(&mut stream, number, LIFETIME).await;
    }
}

/// Answers one AssumeRole with the keys `number`.
pub(super) async fn answer_keys(stream: &mut TcpStream, number: usize, life: SignedDuration) {
    let asked = request(stream).await;
    assert!(asked.contains("Action=AssumeRole"), "{asked}");
    let expires = (Timestamp::now() + life).strftime("%Y-%m-%dT%H:%M:%SZ");
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleResult><Credentials><AccessKeyId>ASIA{number}</AccessKeyId>\
         <SecretAccessKey>s</SecretAccessKey><SessionToken>t{number}</SessionToken>\
         <Expiration>{expires}</Expiration></Credentials></AssumeRoleResult>\
         </AssumeRoleResponse>"
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn an_agent_gets_new_keys_before_the_old_ones_expire() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let mut servers = JoinSet::new();
    servers.spawn(sts(listener, calls.clone()));
    let control = Control::with(directory.path(), |config| {
        config.roles = vec![Role {
            arn: ROLE.to_owned(),
            kind: RoleKind::AssumeRole {
                external_id: None,
                sts_endpoint: Some(endpoint),
                endpoint: Some("http://store.example".to_owned()),
            },
        }];
    })
    .await;
    let (machine, _) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let task = add_task_to(
        &control,
        LocationDetails::S3(S3Details {
            bucket_arn: "arn:aws:s3:::bucket".to_owned(),
            prefix: String::new(),
            storage_class: StorageClass::Standard,
            role_arn: ROLE.to_owned(),
            agents: Vec::new(),
            region: None,
        }),
    )
    .await;
    let mut before: Option<Credentials> = None;
    for number in 1..=2 {
        let got = attached.next_credentials().await;
        assert_eq!(got.error_detail, "");
        assert_eq!(got.location_arn, task.destination.to_string());
        assert_eq!(got.access_key_id, format!("ASIA{number}"));
        assert_eq!(got.session_token, format!("t{number}"));
        assert_eq!(calls.load(Ordering::SeqCst), number);
        if let Some(before) = before.replace(got) {
            assert!(Timestamp::now().as_second() < before.expires_at_seconds);
        }
    }
    servers.shutdown().await;
    control.stop().await;
}
