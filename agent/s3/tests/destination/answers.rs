//! What becomes of the store's answers.

use datasync_endpoint::{Crc64, Destination, Effect, ErrorKind, PartReceipt, UploadId};

use crate::setup::{header, key, payload};
use crate::sink::{Answer, LIST, OK_PUT, Sink, error_body};

#[tokio::test]
async fn a_success_with_an_error_body_is_an_error() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(Answer::Reply(200, "", error_body("InternalError")));
    let part = PartReceipt {
        number: 1,
        etag: "\"e\"".to_owned(),
        crc64: Crc64::EMPTY,
        checksum: None,
        length: 0,
    };
    let upload = UploadId("u".to_owned());
    let error = destination
        .complete_upload(&key("k"), &upload, &header(), &[part], Crc64::EMPTY)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::ServerFault, Effect::Unknown),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_is_retried_here_and_every_failure_has_its_kind() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let big = vec![1u8; 8 << 20];
    let cases = [
        (
            Answer::Reply(503, "retry-after: 9\r\n", error_body("SlowDown")),
            ErrorKind::Busy,
            Effect::None,
        ),
        (
            Answer::Reply(500, "", error_body("InternalError")),
            ErrorKind::ServerFault,
            Effect::Unknown,
        ),
        (
            Answer::Reply(403, "", error_body("AccessDenied")),
            ErrorKind::PermissionDenied,
            Effect::None,
        ),
        (
            Answer::Reply(412, "", String::new()),
            ErrorKind::Precondition,
            Effect::None,
        ),
        (
            Answer::Reply(409, "", error_body("ConditionalRequestConflict")),
            ErrorKind::Busy,
            Effect::None,
        ),
        (
            Answer::Reply(502, "", "<html>".to_owned()),
            ErrorKind::ServerFault,
            Effect::Unknown,
        ),
        (
            Answer::Reply(200, "", String::new()),
            ErrorKind::Protocol,
            Effect::Unknown,
        ),
        (Answer::Hang, ErrorKind::Timeout, Effect::Unknown),
        (Answer::Cut, ErrorKind::Unreachable, Effect::Unknown),
    ];
    for content in [&b"small"[..], &big] {
        for (answer, kind, effect) in cases.clone() {
            sink.answer(answer.clone());
            let before = destination.calls().of("PutObject");
            let error = destination
                .put(&key("k"), &header(), payload(content))
                .await
                .unwrap_err();
            assert_eq!(
                (error.kind, error.effect),
                (kind, effect),
                "{answer:?}: {error}"
            );
            let told = matches!(answer, Answer::Reply(503, _, _));
            assert_eq!(error.retry_after.is_some(), told);
            assert_eq!(destination.calls().of("PutObject"), before + 1);
        }
    }
}

#[tokio::test]
async fn a_listing_out_of_order_is_refused() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let entry = |key| {
        format!(
            "<Contents><Key>p/{key}</Key><Size>1</Size><ETag>\"e\"</ETag>\
             <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        )
    };
    let body = LIST.replace(
        "</ListBucketResult>",
        &(entry("b") + &entry("a") + "</ListBucketResult>"),
    );
    sink.answer(Answer::Reply(200, "", body));
    let error = destination.list(None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.to_string().contains("byte order"), "{error}");
}

#[tokio::test]
async fn a_document_that_says_nothing_is_no_empty_listing() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let nothing = |name: &str| Answer::Reply(200, "", format!("<{name}></{name}>"));
    sink.answer(nothing("ListBucketResult"));
    let listed = destination.list(None).await;
    sink.answer(nothing("ListMultipartUploadsResult"));
    let uploads = destination.open_uploads(&key("k")).await;
    for error in [listed.unwrap_err(), uploads.unwrap_err()] {
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        assert!(error.detail.contains("the last"), "{error}");
    }
}

#[tokio::test]
async fn documents_are_bounded_and_contents_are_not() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let long = "x".repeat(17 << 20);
    let listing = LIST.replace("</ListBucketResult>", &long);
    for (status, kind) in [(200, ErrorKind::Protocol), (500, ErrorKind::ServerFault)] {
        sink.answer(Answer::Reply(status, "", listing.clone()));
        let error = destination.list(None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.detail.len() < 1000, "{error}");
    }
    sink.answer(Answer::Reply(200, "", listing));
    let error = destination.open_uploads(&key("k")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    sink.answer(Answer::Reply(200, OK_PUT, long.clone()));
    let back = destination.read_back(&key("k")).await.unwrap();
    let expected = (long.len() as u64, Crc64::of(long.as_bytes()));
    assert_eq!((back.size, back.crc64), expected);
}

#[tokio::test]
async fn a_content_without_an_announced_end_is_not_read() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let endless = "HTTP/1.1 200 OK\r\netag: \"e\"\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
    sink.answer(Answer::Raw(endless));
    let error = destination.read_back(&key("k")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_also_without_the_sdk() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let skewed = error_body("RequestTimeTooSkewed");
    let date = "date: Fri, 01 Jan 2100 12:00:00 GMT\r\n";
    sink.answer(Answer::Reply(403, date, skewed));
    let refused = destination.put(&key("k"), &header(), payload(b"x")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "to be tried again: {error}");
    destination
        .put(&key("k"), &header(), payload(b"x"))
        .await
        .unwrap();
    let last = sink.seen().pop().unwrap();
    let signed = last.header("x-amz-date").unwrap();
    assert!(signed.starts_with("21000101T1"), "{signed}");
}
