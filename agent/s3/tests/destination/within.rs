//! Copies that the store makes by itself.

use datasync_endpoint::{
    Crc64, Destination, ErrorKind, ObjectHeader, ObjectProperties, PosixMetadata, ReadBack,
    StoredObject,
};
use quickstart_store::StoreIntegrity;

use crate::setup::{header, key, payload};
use crate::sink::{Answer, Sink, error_body};
use crate::world::World;

const MIB: usize = 1 << 20;

fn properties() -> ObjectHeader {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ObjectHeader {
        metadata: PosixMetadata::default(),
        properties: Some(Box::new(ObjectProperties {
            user_metadata: vec![pair("colour", "blue")],
            content_type: Some("text/plain".to_owned()),
            tags: vec![pair("a b", "1&2")],
            ..ObjectProperties::default()
        })),
        ..header()
    }
}

/// Writes an object below `from/`, and says where it is.
async fn original(world: &World, size: usize) -> (Vec<u8>, StoredObject) {
    let content = vec![7; size];
    let from = world.open("from/").await;
    let receipt = from
        .put(&key("k"), &header(), payload(&content))
        .await
        .unwrap();
    let stored = StoredObject {
        endpoint: Some(world.endpoint.clone()),
        bucket: "bucket".to_owned(),
        key: "from/k".to_owned(),
        etag: receipt.etag,
        size: size as u64,
    };
    (content, stored)
}

#[tokio::test]
async fn a_copy_is_proven_by_the_checksum_and_carries_what_it_is_given() {
    let world = World::start(StoreIntegrity::Full).await;
    let (content, from) = original(&world, 2 * MIB).await;
    let to = world.open("to/").await;
    assert!(to.may_copy(&from));
    let copied = to.copy(&key("k"), &properties(), &from).await.unwrap();
    let (read, receipt) = copied.unwrap();
    let crc64 = Crc64::of(&content);
    let size = content.len() as u64;
    assert_eq!(read, ReadBack { size, crc64 });
    assert!(receipt.vouched && receipt.date.is_some());
    assert_eq!(to.read_back(&key("k")).await.unwrap(), read);
    let head = world.sdk().head_object().bucket("bucket").key("to/k");
    let head = head.send().await.unwrap();
    assert_eq!(head.content_type(), Some("text/plain"));
    let metadata = head.metadata().unwrap();
    assert_eq!((metadata.len(), metadata["colour"].as_str()), (1, "blue"));
    let tags = world
        .sdk()
        .get_object_tagging()
        .bucket("bucket")
        .key("to/k");
    let tags = tags.send().await.unwrap();
    let tags: Vec<_> = tags
        .tag_set()
        .iter()
        .map(|tag| (tag.key(), tag.value()))
        .collect();
    assert_eq!(tags, [("a b", "1&2")]);
    assert_eq!(to.calls().of("CopyObject"), 1);
}

#[tokio::test]
async fn what_cannot_be_proven_or_is_small_or_elsewhere_is_to_be_read_and_written() {
    let world = World::start(StoreIntegrity::Full).await;
    let (_, from) = original(&world, 2 * MIB).await;
    let to = world.open("to/").await;
    let small = StoredObject {
        size: 1000,
        ..from.clone()
    };
    let elsewhere = StoredObject {
        endpoint: None,
        ..from.clone()
    };
    assert!(!to.may_copy(&small) && !to.may_copy(&elsewhere));
    let careful = ObjectHeader {
        only_if_absent: true,
        ..header()
    };
    assert!(to.copy(&key("k"), &careful, &from).await.unwrap().is_none());
    for changed in [
        StoredObject {
            etag: "\"other\"".to_owned(),
            ..from.clone()
        },
        StoredObject {
            key: "from/gone".to_owned(),
            ..from.clone()
        },
    ] {
        let error = to.copy(&key("k"), &header(), &changed).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Stale, "{error}");
    }
    assert!(to.may_copy(&from));
    let world = World::start(StoreIntegrity::Md5Only).await;
    let (_, from) = original(&world, 2 * MIB).await;
    assert!(!world.open("to/").await.may_copy(&from));
}

#[tokio::test]
async fn keys_that_may_not_read_the_original_are_not_tried_again() {
    let sink = Sink::start().await;
    let to = sink.open().await;
    let from = StoredObject {
        endpoint: sink.config().location.endpoint,
        bucket: "other".to_owned(),
        key: "k".to_owned(),
        etag: "\"e\"".to_owned(),
        size: 2 << 20,
    };
    assert!(to.may_copy(&from));
    sink.answer(Answer::Reply(403, "", String::new()));
    assert!(
        to.copy(&key("k"), &header(), &from)
            .await
            .unwrap()
            .is_none()
    );
    assert!(!to.may_copy(&from));
}

const LARGE: u64 = (5 << 30) + 1;
/// What HEAD tells of an object of [`LARGE`] bytes whose CRC-64/NVME is 7.
const LARGE_HEAD: &str = "etag: \"e\"\r\ncontent-length: 5368709121\r\n\
    x-amz-checksum-crc64nvme: AAAAAAAAAAc=\r\nx-amz-checksum-type: FULL_OBJECT\r\n";

fn xml(text: &str) -> Answer {
    Answer::Reply(200, "", text.to_owned())
}

/// A sink that has told of a large object and begun an upload, and the object.
async fn begun() -> (Sink, datasync_s3::S3Destination, StoredObject) {
    let sink = Sink::start().await;
    let to = sink.open().await;
    let from = StoredObject {
        endpoint: sink.config().location.endpoint,
        bucket: "other".to_owned(),
        key: "a b".to_owned(),
        etag: "\"e\"".to_owned(),
        size: LARGE,
    };
    assert!(to.may_copy(&from));
    sink.answer(Answer::Head(LARGE_HEAD));
    sink.answer(xml(
        "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    ));
    (sink, to, from)
}

fn answer_parts(sink: &Sink, count: usize) {
    for _ in 0..count {
        sink.answer(xml(
            "<CopyPartResult><ETag>\"p\"</ETag><ChecksumCRC64NVME>AAAAAAAAAAE=</ChecksumCRC64NVME></CopyPartResult>",
        ));
    }
}

#[tokio::test]
async fn above_5_gib_parts_are_copied_and_the_whole_is_proven() {
    let (sink, to, from) = begun().await;
    answer_parts(&sink, 6);
    sink.answer(xml(
        "<CompleteMultipartUploadResult><ETag>\"w\"</ETag>\
         <ChecksumCRC64NVME>AAAAAAAAAAc=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>\
         </CompleteMultipartUploadResult>",
    ));
    let copied = to.copy(&key("k"), &properties(), &from).await.unwrap();
    let (read, receipt) = copied.unwrap();
    let expected = ReadBack {
        size: LARGE,
        crc64: Crc64(7),
    };
    assert!(read == expected && receipt.vouched, "{read:?} {receipt:?}");
    let seen = sink.seen();
    let create = &seen[1];
    for (header, value) in [
        ("x-amz-storage-class", "STANDARD_IA"),
        ("content-type", "text/plain"),
        ("x-amz-meta-colour", "blue"),
        ("x-amz-tagging", "a%20b=1%262"),
        ("x-amz-checksum-algorithm", "CRC64NVME"),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    ] {
        assert_eq!(create.header(header), Some(value), "{header}");
    }
    let parts = &seen[2..8];
    let mut ranges: Vec<_> = parts
        .iter()
        .map(|part| {
            assert_eq!(part.header("x-amz-copy-source"), Some("other/a%20b"));
            assert_eq!(part.header("x-amz-copy-source-if-match"), Some("\"e\""));
            part.header("x-amz-copy-source-range").unwrap()
        })
        .collect();
    ranges.sort_unstable();
    ranges.dedup();
    assert_eq!(ranges.len(), 6);
    let complete = &seen[8];
    for (header, value) in [
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAc="),
        ("x-amz-mp-object-size", "5368709121"),
    ] {
        assert_eq!(complete.header(header), Some(value), "{header}");
    }
}

#[tokio::test]
async fn a_large_copy_that_fails_is_aborted_and_tells_whether_the_original_changed() {
    let (sink, to, from) = begun().await;
    for _ in 0..4 {
        sink.answer(Answer::Reply(412, "", error_body("PreconditionFailed")));
    }
    sink.answer(Answer::Reply(204, "", String::new()));
    let error = to.copy(&key("k"), &header(), &from).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stale, "{error}");
    let seen = sink.seen();
    let last = seen.last().unwrap();
    assert!(last.line.starts_with("DELETE ") && last.line.contains("uploadId=u"));

    let (sink, to, from) = begun().await;
    answer_parts(&sink, 6);
    sink.answer(Answer::Reply(400, "", error_body("BadDigest")));
    sink.answer(Answer::Reply(204, "", String::new()));
    let error = to.copy(&key("k"), &header(), &from).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ChecksumRefused, "{error}");
    assert!(sink.seen().last().unwrap().line.starts_with("DELETE "));
}
