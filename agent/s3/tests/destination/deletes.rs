//! Deletes in batches, over the embedded store and on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datasync_endpoint::{Destination, Effect, ErrorKind, ObjectIdentifier};
use datasync_s3::S3Destination;
use md5::{Digest as _, Md5};
use quickstart_store::StoreIntegrity;

use crate::setup::{header, identifier, key, payload};
use crate::sink::{Answer, Request, Sink, error_body};
use crate::world::{STORES, World};

async fn put(destination: &S3Destination, name: &str, content: &[u8]) -> ObjectIdentifier {
    let receipt = destination
        .put(&key(name), &header(), payload(content))
        .await
        .unwrap();
    identifier(name, &receipt.etag)
}

fn two() -> [ObjectIdentifier; 2] {
    [identifier("a", "\"1\""), identifier("b", "\"2\"")]
}

/// The answer to a batch of these two.
fn both(first: &str, second: &str) -> Answer {
    let document = format!("<DeleteResult>{first}{second}</DeleteResult>");
    Answer::Reply(200, "", document)
}

fn deleted(name: &str) -> String {
    format!("<Deleted><Key>p/{name}</Key></Deleted>")
}

fn refused(name: &str, code: &str) -> String {
    format!("<Error><Key>p/{name}</Key><Code>{code}</Code><Message>so it is</Message></Error>")
}

fn deletes(seen: &[Request]) -> Vec<&str> {
    let lines = seen.iter().map(|request| request.line.as_str());
    lines
        .filter(|line| line.starts_with("DELETE") || line.contains("?delete"))
        .collect()
}

#[tokio::test]
async fn a_thousand_objects_go_in_one_request() {
    for store in STORES {
        let world = World::start(store).await;
        let destination = world.open("p/").await;
        let mut objects = Vec::new();
        for number in 0..1_000 {
            objects.push(put(&destination, &format!("{number}&é"), b"x").await);
        }
        let before = destination.calls();
        for outcome in destination.delete(&objects).await {
            outcome.unwrap();
        }
        let calls = destination.calls();
        assert_eq!(calls.total() - before.total(), 1, "{store:?}");
        assert_eq!(world.keys().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn keys_that_xml_may_change_go_alone() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("p/").await;
    let mut objects = Vec::new();
    for name in ["a", "a\u{1}", "a\n", "a\u{ffff}", "b", "b "] {
        objects.push(put(&destination, name, b"").await);
    }
    let before = destination.calls();
    for outcome in destination.delete(&objects).await {
        outcome.unwrap();
    }
    let calls = destination.calls();
    assert_eq!(calls.of("DeleteObjects") - before.of("DeleteObjects"), 1);
    assert_eq!(calls.of("DeleteObject") - before.of("DeleteObject"), 4);
    assert_eq!(world.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_object_that_was_replaced_stays_and_the_others_of_its_batch_go() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("p/").await;
    let mut objects = Vec::new();
    for name in ["a", "b", "c"] {
        objects.push(put(&destination, name, b"old").await);
    }
    put(&destination, "b", b"new").await;
    objects.push(identifier("never there", "\"e\""));
    let outcomes = destination.delete(&objects).await;
    let kinds: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.map_err(|error| error.kind))
        .collect();
    assert_eq!(
        kinds,
        [Ok(()), Err(ErrorKind::Precondition), Ok(()), Ok(())]
    );
    assert_eq!(world.keys().await, ["p/b"]);
}

#[tokio::test]
async fn a_batch_is_proven_by_md5_and_crc_and_refusals_have_their_kinds() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let said = both(&refused("a", "AccessDenied"), &deleted("b"));
    sink.answer(said);
    let mut outcomes = destination.delete(&two()).await;
    assert!(outcomes.pop().unwrap().is_ok());
    let error = outcomes.pop().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(
        error.to_string().contains("p/a") && error.to_string().contains("so it is"),
        "{error}"
    );
    let seen = sink.seen();
    assert_eq!(deletes(&seen), ["POST /bucket/?delete"]);
    let digest = BASE64.encode(Md5::digest(&seen[0].body));
    assert_eq!(seen[0].header("content-md5"), Some(digest.as_str()));
    assert!(seen[0].header("x-amz-checksum-crc64nvme").is_some());
    let body = String::from_utf8_lossy(&seen[0].body).into_owned();
    assert!(
        body.contains("<Key>p/a</Key>") && !body.contains("<Quiet>true"),
        "{body}"
    );
    for (code, kind) in [
        ("SlowDown", ErrorKind::Busy),
        ("InternalError", ErrorKind::ServerFault),
    ] {
        sink.answer(both(&refused("a", code), &refused("b", "NoSuchKey")));
        let mut outcomes = destination.delete(&two()).await;
        assert!(outcomes.pop().unwrap().is_ok(), "it is gone");
        assert_eq!(outcomes.pop().unwrap().unwrap_err().kind, kind);
    }
}

#[tokio::test]
async fn what_a_batch_leaves_open_is_asked_for_alone() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(both(&deleted("b"), ""));
    sink.answer(Answer::Reply(403, "", error_body("AccessDenied")));
    let mut outcomes = destination.delete(&two()).await;
    assert!(outcomes.pop().unwrap().is_ok());
    assert_eq!(
        outcomes.pop().unwrap().unwrap_err().kind,
        ErrorKind::PermissionDenied
    );
    let seen = sink.seen();
    let asked = deletes(&seen);
    assert_eq!(asked.len(), 2);
    assert!(asked[1].starts_with("DELETE /bucket/p/a"), "{asked:?}");
}

#[tokio::test]
async fn a_store_without_batches_is_asked_once_and_remembered() {
    for (status, code) in [
        (501, "NotImplemented"),
        (405, "MethodNotAllowed"),
        (400, "MalformedXML"),
    ] {
        let sink = Sink::start().await;
        let destination = sink.open().await;
        sink.answer(Answer::Reply(status, "", error_body(code)));
        for _ in 0..2 {
            for _ in 0..2 {
                sink.answer(Answer::Reply(204, "", String::new()));
            }
        }
        for _ in 0..2 {
            for outcome in destination.delete(&two()).await {
                outcome.unwrap();
            }
        }
        let calls = destination.calls();
        assert_eq!(calls.of("DeleteObjects"), 1, "{code}");
        assert_eq!(deletes(&sink.seen()).len(), 5);
    }
}

#[tokio::test]
async fn an_unanswered_batch_leaves_the_outcome_of_each_object_open() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    for (answer, kind, effect) in [
        (Answer::Cut, ErrorKind::Unreachable, Effect::Unknown),
        (
            Answer::Reply(503, "", error_body("SlowDown")),
            ErrorKind::Busy,
            Effect::None,
        ),
    ] {
        sink.answer(answer);
        let outcomes = destination.delete(&two()).await;
        for (outcome, name) in outcomes.into_iter().zip(["p/a", "p/b"]) {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind, error.effect), (kind, effect));
            assert!(error.target.ends_with(name), "{error}");
        }
    }
}

/// The store honours `If-Match` of single deletes, and no ETags in batches.
#[tokio::test]
async fn batches_that_ignore_etags_are_not_used_where_single_deletes_honour_them() {
    let sink = Sink::start().await;
    sink.refuse_stale_deletes();
    let destination = sink.open().await;
    for _ in 0..2 {
        sink.answer(Answer::Reply(204, "", String::new()));
    }
    for outcome in destination.delete(&two()).await {
        outcome.unwrap();
    }
    let seen = sink.seen();
    assert_eq!(deletes(&seen).len(), 2);
    let mut etags: Vec<_> = seen
        .iter()
        .map(|request| request.header("if-match"))
        .collect();
    etags.sort_unstable();
    assert_eq!(etags, [Some("\"1\""), Some("\"2\"")]);
}
