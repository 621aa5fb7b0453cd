//! What becomes of answers that a source cannot trust.

use datasync_endpoint::{ErrorKind, Handle, Source};
use datasync_s3::{S3Source, Shape};

use crate::sink::{Answer, Sink, error_body};

const OBJECTS: Shape = Shape::Objects {
    metadata: true,
    tags: false,
};
const DATED: &str = "etag: \"e\"\r\nlast-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n";

/// The object `p/k` of nine bytes.
async fn object(sink: &Sink) -> (S3Source, Handle) {
    let source = S3Source::open(sink.config(), OBJECTS).await.unwrap();
    sink.answer(Answer::Reply(404, "", String::new()));
    let root = source.root().await.unwrap();
    sink.answer(Answer::Reply(
        200,
        "",
        "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>\
         <Contents><Key>p/k</Key><Size>9</Size><ETag>\"e\"</ETag>\
         <LastModified>2015-10-21T07:28:00.250Z</LastModified></Contents></ListBucketResult>"
            .to_owned(),
    ));
    let page = source.read_dir(&root.handle, None).await.unwrap();
    let handle = page.entries[0].node.as_ref().unwrap().handle.clone();
    (source, handle)
}

fn part(range: &str, body: &str) -> Answer {
    let headers = format!("{DATED}content-range: bytes {range}\r\n");
    Answer::Reply(206, headers.leak(), body.to_owned())
}

#[tokio::test]
async fn a_range_is_taken_only_as_it_was_asked_for() {
    let sink = Sink::start().await;
    let (source, handle) = object(&sink).await;
    sink.answer(part("2-4/9", "cde"));
    let reply = source.read(&handle, 2, 3).await.unwrap();
    assert_eq!(&reply.data[..], b"cde");
    assert!(!reply.eof && reply.attributes.is_some());
    let request = sink.seen().pop().unwrap();
    assert_eq!(request.header("range"), Some("bytes=2-4"));
    assert_eq!(request.header("if-match"), Some("\"e\""));
    for (answer, kind) in [
        (part("2-4/9", "cd"), ErrorKind::Unreachable),
        (part("2-4/9", "cdef"), ErrorKind::Protocol),
        (part("3-5/9", "def"), ErrorKind::Protocol),
        (part("2-4/10", "cde"), ErrorKind::Protocol),
        (
            Answer::Reply(200, DATED, "abcdefghi".to_owned()),
            ErrorKind::Protocol,
        ),
        (
            Answer::Reply(206, "content-range: bytes 2-4/9\r\n", "cde".to_owned()),
            ErrorKind::Protocol,
        ),
        (
            Answer::Reply(412, "", error_body("PreconditionFailed")),
            ErrorKind::Stale,
        ),
        (
            Answer::Reply(404, "", error_body("NoSuchKey")),
            ErrorKind::Stale,
        ),
        (
            Answer::Reply(
                206,
                "etag: \"f\"\r\nlast-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
                 content-range: bytes 2-4/9\r\n",
                "cde".to_owned(),
            ),
            ErrorKind::Stale,
        ),
        (
            Answer::Reply(503, "", error_body("SlowDown")),
            ErrorKind::Busy,
        ),
        (Answer::Hang, ErrorKind::Timeout),
    ] {
        let shown = format!("{answer:?}");
        sink.answer(answer);
        let error = source.read(&handle, 2, 3).await.unwrap_err();
        assert_eq!(error.kind, kind, "{shown}: {error}");
    }
}

#[tokio::test]
async fn a_whole_object_is_compared_with_its_checksum() {
    let sink = Sink::start().await;
    let (source, handle) = object(&sink).await;
    let whole = |crc64: &str| {
        let headers = format!("{DATED}x-amz-checksum-crc64nvme: {crc64}\r\n");
        Answer::Reply(200, headers.leak(), "123456789".to_owned())
    };
    sink.answer(whole("rosUhgp5mIg="));
    let reply = source.read(&handle, 0, 9).await.unwrap();
    assert!(reply.eof);
    sink.answer(whole("AAAAAAAAAAA="));
    let error = source.read(&handle, 0, 9).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ServerFault);
    assert!(error.detail.contains("CRC-64/NVME"), "{error}");
}

#[tokio::test]
async fn archived_objects_are_to_be_restored() {
    let sink = Sink::start().await;
    let (source, handle) = object(&sink).await;
    sink.answer(Answer::Reply(403, "", error_body("InvalidObjectState")));
    let error = source.read(&handle, 0, 9).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSupported);
    assert!(
        error
            .detail
            .starts_with("the object is archived: restore it first")
    );
}

#[tokio::test]
async fn an_object_that_is_missing_may_be_told_as_forbidden() {
    let sink = Sink::start().await;
    let source = S3Source::open(sink.config(), OBJECTS).await.unwrap();
    // The listing has nothing of that key.
    sink.answer(Answer::Reply(403, "", String::new()));
    let root = source.root().await.unwrap();
    assert!(!source.is_item(&root));
}

#[tokio::test]
async fn metadata_that_no_header_can_carry_are_not_lost_in_silence() {
    let sink = Sink::start().await;
    let (source, handle) = object(&sink).await;
    for (header, says) in [
        ("x-amz-missing-meta: 2\r\n", "2 entries"),
        ("expires: whenever\r\n", "is no date"),
    ] {
        let headers = format!("{DATED}content-length: 9\r\n{header}");
        sink.answer(Answer::Head(headers.leak()));
        let error = source.properties(&handle).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotSupported);
        assert!(error.detail.contains(says), "{error}");
    }
}
