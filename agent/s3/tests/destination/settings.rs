//! Headers of the settings, on every kind of request.

use datasync_endpoint::{Crc64, Destination, ErrorKind, ObjectState, PartReceipt, PosixMetadata};
use datasync_s3::{Encryption, Kms, S3Config, S3Destination};

use crate::setup::{header, identifier, key, payload};
use crate::sink::{Answer, LIST, Request, Sink, error_body};

const KEY: &str = "arn:aws:kms:eu-west-7:123456789012:key/k";
const SSE: &str = "x-amz-server-side-encryption";

fn kms(config: &mut S3Config) {
    config.encryption = Some(Encryption::Kms(Kms {
        dual_layer: false,
        key_id: Some(KEY.to_owned()),
        bucket_key: Some(true),
    }));
    config.bucket_owner_full_control = true;
    config.requester_pays = true;
}

async fn every_request(destination: &S3Destination, sink: &Sink) {
    let name = key("k");
    for length in [10, 2 << 20] {
        let put = payload(&vec![1; length]);
        destination.put(&name, &header(), put).await.unwrap();
    }
    let begun =
        "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    sink.answer(Answer::Reply(200, "", begun.to_owned()));
    let upload = destination
        .create_upload(&name, &header(), 1)
        .await
        .unwrap();
    let part = destination
        .upload_part(&name, &upload, 1, payload(b"x"))
        .await;
    let part: PartReceipt = part.unwrap();
    let whole = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
    sink.answer(Answer::Reply(200, "", whole.to_owned()));
    sink.answer(Answer::Head("etag: \"e\"\r\ncontent-length: 1\r\n"));
    let crc64 = Crc64::of(b"x");
    destination
        .complete_upload(&name, &upload, &header(), &[part], crc64)
        .await
        .unwrap();
    // What the object is encrypted with gives way to what is asked for.
    let old = "etag: \"e\"\r\ncontent-length: 1\r\nx-amz-server-side-encryption: aws:kms\r\n\
               x-amz-server-side-encryption-aws-kms-key-id: old\r\n";
    sink.answer(Answer::Head(old));
    let copied = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>";
    sink.answer(Answer::Reply(200, "", copied.to_owned()));
    let current = ObjectState {
        kind: None,
        size: 1,
        etag: "\"e\"".to_owned(),
        metadata: PosixMetadata::default(),
        crc64: None,
        checksum: None,
        storage_class: None,
        extended: None,
    };
    let metadata = header().metadata;
    destination
        .set_metadata(&name, &current, &metadata, None)
        .await
        .unwrap();
    sink.answer(Answer::Reply(200, "", LIST.to_owned()));
    destination.list(None).await.unwrap();
    sink.answer(Answer::Reply(200, "etag: \"e\"\r\n", "x".to_owned()));
    destination.read_back(&name).await.unwrap();
    for answer in [
        Answer::Reply(204, "", String::new()),
        Answer::Reply(204, "", String::new()),
    ] {
        sink.answer(answer);
    }
    destination.abort_upload(&name, &upload).await.unwrap();
    let one = destination.delete(&[identifier("k", "\"e\"")]).await;
    assert!(one[0].is_ok());
    let gone = "<DeleteResult><Deleted><Key>p/a</Key></Deleted><Deleted><Key>p/b</Key></Deleted></DeleteResult>";
    sink.answer(Answer::Reply(200, "", gone.to_owned()));
    let two = [identifier("a", "\"e\""), identifier("b", "\"e\"")];
    assert!(destination.delete(&two).await.iter().all(Result::is_ok));
}

/// Whether a request makes an object.
fn writes(request: &Request) -> bool {
    let line = &request.line;
    let part = line.contains("partNumber") || line.contains("uploadId");
    !part && (line.starts_with("PUT") || line.contains("?uploads"))
}

#[tokio::test]
async fn encryption_and_acl_go_with_every_write_and_the_payer_with_every_request() {
    let sink = Sink::start().await;
    let mut config = sink.config();
    kms(&mut config);
    let destination = S3Destination::open(config).await.unwrap();
    every_request(&destination, &sink).await;
    let seen = sink.seen();
    assert!(seen.iter().filter(|request| writes(request)).count() >= 8);
    for request in &seen {
        assert_eq!(
            request.header("x-amz-request-payer"),
            Some("requester"),
            "{}",
            request.line
        );
        let signed = request.header("authorization").unwrap();
        assert!(signed.contains("x-amz-request-payer"), "{signed}");
        let expected = [
            (SSE, "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", KEY),
            ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
            ("x-amz-acl", "bucket-owner-full-control"),
        ];
        for (name, value) in expected {
            let wanted = writes(request).then_some(value);
            assert_eq!(request.header(name), wanted, "{name} of {}", request.line);
        }
    }
}

#[tokio::test]
async fn a_key_of_before_does_not_go_with_another_encryption() {
    let sink = Sink::start().await;
    let mut config = sink.config();
    config.encryption = Some(Encryption::S3);
    let destination = S3Destination::open(config).await.unwrap();
    every_request(&destination, &sink).await;
    for request in sink.seen().iter().filter(|request| writes(request)) {
        assert_eq!(request.header(SSE), Some("AES256"), "{}", request.line);
        let key_id = request.header("x-amz-server-side-encryption-aws-kms-key-id");
        assert_eq!(key_id, None, "{}", request.line);
    }
}

#[tokio::test]
async fn nothing_is_added_unless_it_is_asked_for() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    destination
        .put(&key("k"), &header(), payload(b"x"))
        .await
        .unwrap();
    destination
        .put(&key("k"), &header(), payload(&vec![1; 2 << 20]))
        .await
        .unwrap();
    for request in sink.seen() {
        for name in [SSE, "x-amz-acl", "x-amz-request-payer"] {
            assert_eq!(request.header(name), None, "{}", request.line);
        }
    }
}

#[tokio::test]
async fn an_archived_object_is_named_as_what_cannot_be_read() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(Answer::Reply(403, "", error_body("InvalidObjectState")));
    let error = destination.read_back(&key("k")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
    assert!(error.detail.contains("InvalidObjectState"), "{error}");
}
