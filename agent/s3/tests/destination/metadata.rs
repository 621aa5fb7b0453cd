//! Metadata that is replaced alone, and what an object keeps.

use datasync_endpoint::{
    Crc64, Destination, Effect, ErrorKind, ObjectHeader, ObjectState, PosixMetadata,
};
use quickstart_store::StoreIntegrity;

use crate::setup::{delete, header, key, payload};
use crate::sink::{Answer, LIST, OK_PUT, Request, Sink, base64_of, error_body};
use crate::world::World;

#[tokio::test]
async fn metadata_is_replaced_and_all_else_stays() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("").await;
    world
        .sdk()
        .put_object()
        .bucket("bucket")
        .key("k +%")
        .content_type("text/plain")
        .metadata("colour", "blue")
        .metadata("file-owner", "1")
        .body(aws_sdk_s3::primitives::ByteStream::from_static(b"content"))
        .send()
        .await
        .unwrap();
    let name = key("k +%");
    let state = destination.stat(&name).await.unwrap().unwrap();
    let receipt = destination
        .set_metadata(&name, &state, &header().metadata, None)
        .await
        .unwrap();
    assert!(receipt.vouched);
    let after = destination.stat(&name).await.unwrap().unwrap();
    assert_eq!(
        (after.metadata, after.crc64),
        (header().metadata, Some(Crc64::of(b"content")))
    );
    let head = world
        .sdk()
        .head_object()
        .bucket("bucket")
        .key("k +%")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.metadata().unwrap()["colour"], "blue");
    destination
        .put(&name, &header(), payload(b"new"))
        .await
        .unwrap();
    let error = destination
        .set_metadata(&name, &state, &header().metadata, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Precondition);
}

#[tokio::test]
async fn class_and_tags_stay_and_another_object_is_not_deleted() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("").await;
    let put = world.sdk().put_object().bucket("bucket").key("k");
    let put = put.storage_class(aws_sdk_s3::types::StorageClass::StandardIa);
    put.tagging("colour=blue").send().await.unwrap();
    let name = key("k");
    let state = destination.stat(&name).await.unwrap().unwrap();
    let metadata = header().metadata;
    destination
        .set_metadata(&name, &state, &metadata, None)
        .await
        .unwrap();
    let after = destination.stat(&name).await.unwrap().unwrap();
    assert_eq!(after.storage_class.as_deref(), Some("STANDARD_IA"));
    let tags = world.sdk().get_object_tagging().bucket("bucket").key("k");
    let tags = tags.send().await.unwrap();
    assert_eq!(tags.tag_set()[0].value(), "blue");
    let stale = delete(&destination, "k", "\"00000000000000000000000000000000\"");
    assert_eq!(stale.await.unwrap_err().kind, ErrorKind::Precondition);
    assert!(destination.stat(&name).await.unwrap().is_some());
}

#[tokio::test]
async fn a_copy_that_fails_after_its_status_is_an_error() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(Answer::Reply(200, OK_PUT, String::new()));
    sink.answer(Answer::Reply(200, "", error_body("InternalError")));
    let current = state(1, Crc64::EMPTY);
    let (name, metadata) = (key("k"), header().metadata);
    let copied = destination.set_metadata(&name, &current, &metadata, None);
    let error = copied.await.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::ServerFault, Effect::Unknown),
        "{error}"
    );
}

const OBJECT: &str = "etag: \"e\"\r\ncontent-length: 1048576\r\n";

#[tokio::test]
async fn an_object_that_is_replaced_keeps_its_class_also_the_unnamed_one() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let name = key("k");
    sink.answer(Answer::Head(OBJECT));
    let found = destination.stat(&name).await.unwrap().unwrap();
    let entry = "<Contents><Key>p/k</Key><Size>1</Size><ETag>\"e\"</ETag>\
         <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>";
    let listing = LIST.replace("</ListBucketResult>", entry);
    sink.answer(Answer::Reply(200, "", listing));
    let listed = destination.list(None).await.unwrap().objects.remove(0);
    assert_eq!(listed.storage_class, found.storage_class);
    for (kept, sent) in [(found.storage_class, None), (None, Some("STANDARD_IA"))] {
        let header = ObjectHeader {
            storage_class: kept,
            ..header()
        };
        let content = vec![1; 1 << 20];
        destination
            .put(&name, &header, payload(&content))
            .await
            .unwrap();
        let body =
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
        sink.answer(Answer::Reply(200, "", body.to_owned()));
        destination
            .create_upload(&name, &header, 1 << 20)
            .await
            .unwrap();
        let seen = sink.seen();
        let writes = seen.iter().filter(|r| !r.line.starts_with(['G', 'H']));
        for request in writes.rev().take(2) {
            assert_eq!(request.header("x-amz-storage-class"), sent, "{request:?}");
        }
    }
}

const KEPT: [(&str, &str); 8] = [
    ("x-amz-storage-class", "STANDARD_IA"),
    ("content-type", "text/plain"),
    ("content-encoding", "gzip"),
    ("content-language", "de"),
    ("content-disposition", "inline"),
    ("cache-control", "no-store"),
    ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
];
const FOUND: &str = "etag: \"e\"\r\ncontent-length: 1\r\nx-amz-storage-class: STANDARD_IA\r\n\
    content-type: text/plain\r\ncontent-encoding: gzip\r\ncontent-language: de\r\n\
    content-disposition: inline\r\ncache-control: no-store\r\n\
    expires: Wed, 21 Oct 2026 07:28:00 GMT\r\n\
    x-amz-server-side-encryption-bucket-key-enabled: true\r\nx-amz-meta-colour: blue\r\n";

fn state(size: u64, crc64: Crc64) -> ObjectState {
    ObjectState {
        kind: None,
        size,
        etag: "\"e\"".to_owned(),
        metadata: PosixMetadata::default(),
        crc64: Some(crc64),
        checksum: None,
        storage_class: None,
        extended: None,
    }
}

#[tokio::test]
async fn copies_whole_and_in_parts_keep_all_that_head_tells() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let (name, metadata, crc64) = (key("k"), header().metadata, Crc64(7));
    let told = format!(
        "<ETag>\"w\"</ETag><ChecksumCRC64NVME>{}</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>",
        base64_of(crc64)
    );
    let xml = |text: &str| Answer::Reply(200, "", text.to_owned());
    sink.answer(Answer::Head(FOUND));
    sink.answer(xml(&format!("<CopyObjectResult>{told}</CopyObjectResult>")));
    let small = state(1, crc64);
    let whole = destination.set_metadata(&name, &small, &metadata, None);
    assert!(whole.await.unwrap().vouched);

    sink.answer(Answer::Head(FOUND));
    sink.answer(xml(
        "<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag></TagSet></Tagging>",
    ));
    sink.answer(xml(
        "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    ));
    for _ in 0..6 {
        sink.answer(xml(
            "<CopyPartResult><ETag>\"p\"</ETag><ChecksumCRC64NVME>AAAAAAAAAAE=</ChecksumCRC64NVME></CopyPartResult>",
        ));
    }
    sink.answer(xml(&format!(
        "<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>"
    )));
    let large = state((5 << 30) + 1, crc64);
    let in_parts = destination.set_metadata(&name, &large, &metadata, None);
    assert!(in_parts.await.unwrap().vouched);

    let seen = sink.seen();
    let (copy, create) = (&seen[1], &seen[4]);
    assert!(create.line.contains("?uploads"), "{}", create.line);
    for request in [copy, create] {
        for (header, value) in KEPT {
            assert_eq!(request.header(header), Some(value), "{header}");
        }
        assert_eq!(request.header("x-amz-meta-colour"), Some("blue"));
        assert_eq!(request.header("x-amz-meta-file-owner"), Some("7"));
    }
    assert_eq!(create.header("x-amz-tagging"), Some("a%20b=c%26d"));
    let last_range = Some("bytes=5368709120-5368709120");
    let is_last = |request: &&Request| request.header("x-amz-copy-source-range") == last_range;
    assert_eq!(seen.iter().filter(is_last).count(), 1);
    let complete = seen.last().unwrap();
    assert_eq!(
        complete.header("x-amz-checksum-crc64nvme"),
        Some(base64_of(crc64).as_str())
    );
    assert_eq!(complete.header("x-amz-mp-object-size"), Some("5368709121"));
    let body = String::from_utf8_lossy(&complete.body).into_owned();
    assert_eq!(body.matches("AAAAAAAAAAE=").count(), 6, "{body}");
}
