//! HEAD that is refused: whether the object is there, a listing tells.

use datasync_endpoint::{Destination, ErrorKind};

use crate::setup::key;
use crate::sink::{Answer, LIST, Sink, error_body};

const REFUSED: Answer = Answer::Reply(403, "", String::new());

#[tokio::test]
async fn an_object_that_is_not_listed_is_missing_though_head_is_refused() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(REFUSED);
    sink.answer(Answer::Reply(200, "", LIST.to_owned()));
    assert_eq!(destination.stat(&key("k")).await.unwrap(), None);
    let listed = &sink.seen()[1].line;
    assert!(listed.contains("prefix=p%2Fk"), "{listed}");
}

#[tokio::test]
async fn of_an_object_that_is_there_the_right_that_lacks_is_named() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(REFUSED);
    let entry = "<Contents><Key>p/k</Key><Size>1</Size><ETag>\"e\"</ETag>\
         <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>";
    let listing = LIST.replace("</ListBucketResult>", entry);
    sink.answer(Answer::Reply(200, "", listing));
    let error = destination.stat(&key("k")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(error.detail.contains("s3:GetObject"), "{error}");
    assert!(!error.detail.contains("s3:ListBucket"), "{error}");

    sink.answer(REFUSED);
    sink.answer(Answer::Reply(403, "", error_body("AccessDenied")));
    let error = destination.stat(&key("k")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    for right in ["s3:GetObject", "s3:ListBucket"] {
        assert!(error.detail.contains(right), "{error}");
    }
}
