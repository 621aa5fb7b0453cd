//! What is on the wire.

use bytes::Bytes;
use datasync_endpoint::{Crc64, Destination, Effect, ErrorKind, Integrity, ObjectHeader, UploadId};

use crate::setup::{header, key, payload, streamed};
use crate::sink::{Answer, Request, Sink, base64_of};

fn absent() -> ObjectHeader {
    ObjectHeader {
        only_if_absent: true,
        ..header()
    }
}

fn assert_unsigned_with_crc64(request: &Request, content: &[u8]) {
    assert_eq!(
        request.body, content,
        "the body is sent as it is, not in aws-chunked"
    );
    assert_eq!(
        request.header("x-amz-content-sha256"),
        Some("UNSIGNED-PAYLOAD")
    );
    let sent = request.header("x-amz-checksum-crc64nvme").unwrap();
    assert_eq!(base64_of(Crc64::of(content)), sent);
    let length = content.len().to_string();
    assert_eq!(request.header("content-length"), Some(length.as_str()));
    for absent in [
        "x-amz-trailer",
        "content-encoding",
        "transfer-encoding",
        "content-md5",
    ] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
    for (name, _) in &request.headers {
        assert!(
            !name.starts_with("x-amz-checksum-") || name == "x-amz-checksum-crc64nvme",
            "{name}"
        );
    }
    assert_eq!(request.header("x-amz-security-token"), Some("TOKEN"));
}

#[tokio::test]
async fn puts_carry_the_checksum_in_a_header_and_nothing_is_signed_twice() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    assert_eq!(destination.abilities().integrity, Integrity::Crc64);
    let small = b"123456789".to_vec();
    let large = vec![7u8; 3 << 20];
    for content in [&small, &large] {
        destination
            .put(&key("a b+c\u{1}é"), &absent(), payload(content))
            .await
            .unwrap();
        let seen = sink.seen();
        let put = seen
            .iter()
            .rfind(|request| request.line.starts_with("PUT"))
            .unwrap();
        assert!(
            put.line.starts_with("PUT /bucket/p/a%20b%2Bc%01%C3%A9"),
            "{}",
            put.line
        );
        assert_unsigned_with_crc64(put, content);
        assert_eq!(put.header("x-amz-meta-file-owner"), Some("7"));
        assert_eq!(put.header("x-amz-meta-user-agent"), Some("aws-datasync"));
        assert_eq!(put.header("if-none-match"), Some("*"));
        let class = (content.len() >= 128 * 1024).then_some("STANDARD_IA");
        assert_eq!(put.header("x-amz-storage-class"), class);
    }
}

#[tokio::test]
async fn parts_and_completion_carry_full_object_checksums() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let body =
        "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    sink.answer(Answer::Reply(200, "", body.to_owned()));
    let upload = destination
        .create_upload(&key("k"), &absent(), 10)
        .await
        .unwrap();
    let content = b"the only part".to_vec();
    let part = destination
        .upload_part(&key("k"), &upload, 1, payload(&content))
        .await
        .unwrap();
    let whole = Crc64::of(&content);
    let completed = format!(
        "<CompleteMultipartUploadResult><ETag>\"w\"</ETag><ChecksumCRC64NVME>{}</ChecksumCRC64NVME>\
         <ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>",
        base64_of(whole)
    );
    sink.answer(Answer::Reply(200, "", completed.clone()));
    let parts = [part];
    let receipt = destination
        .complete_upload(&key("k"), &upload, &absent(), &parts, whole)
        .await
        .unwrap();
    assert!(receipt.vouched);
    let seen = sink.seen();
    assert_eq!(
        seen[0].header("x-amz-checksum-algorithm"),
        Some("CRC64NVME")
    );
    assert_eq!(seen[0].header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert_unsigned_with_crc64(&seen[1], &content);
    assert_eq!(
        seen[2].header("x-amz-checksum-crc64nvme"),
        Some(base64_of(whole).as_str())
    );
    assert_eq!(seen[2].header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert_eq!(seen[2].header("if-none-match"), Some("*"));
    assert!(String::from_utf8_lossy(&seen[2].body).contains(&base64_of(whole)));

    sink.answer(Answer::Reply(
        200,
        "",
        completed.replace(&base64_of(whole), "AAAAAAAAAAA="),
    ));
    let other = destination
        .complete_upload(&key("k"), &upload, &absent(), &parts, whole)
        .await;
    let error = other.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::ChecksumRefused, Effect::Unknown)
    );
}

#[tokio::test]
async fn small_and_large_bodies_are_asked_for_alike() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let mut header = absent();
    header.storage_class = Some("GLACIER_IR".to_owned());
    for length in [1 << 10, 1 << 20] {
        let name = key("a b+c%/\u{1}é~");
        destination
            .put(&name, &header, payload(&vec![0; length]))
            .await
            .unwrap();
    }
    let asked = |request: &Request| {
        let own = |name: &str| {
            let varies = ["x-amz-date", "x-amz-checksum-crc64nvme", "x-amz-user-agent"];
            !varies.contains(&name)
                && (name.starts_with("x-amz-") || ["content-type", "if-none-match"].contains(&name))
        };
        let mut headers = request.headers.clone();
        headers.retain(|(name, _)| own(name));
        headers.sort();
        let target = request.line.split('?').next().unwrap().to_owned();
        (target, headers)
    };
    let mut seen = sink.seen();
    seen.retain(|request| request.line.starts_with("PUT"));
    let (lean, sdk) = (asked(&seen[0]), asked(&seen[1]));
    assert_eq!(lean, sdk);
    assert_eq!(lean.0, "PUT /bucket/p/a%20b%2Bc%25/%01%C3%A9~");
    assert_eq!(lean.1.len(), 11, "{:?}", lean.1);
}

#[tokio::test]
async fn a_part_that_is_read_while_it_is_sent_carries_its_checksum_behind_it() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let upload = UploadId("u".to_owned());
    let chunks = vec![
        Ok(Bytes::from_static(b"1234")),
        Ok(Bytes::from_static(b"56789")),
    ];
    destination
        .stream_part(&key("k"), &upload, 3, streamed(chunks, 9))
        .await
        .unwrap();
    let part = sink.seen().pop().unwrap();
    let sum = base64_of(Crc64::of(b"123456789"));
    let body = format!("9\r\n123456789\r\n0\r\nx-amz-checksum-crc64nvme:{sum}\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&part.body), body);
    for (name, value) in [
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "9"),
        ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
        ("content-length", &body.len().to_string()),
    ] {
        assert_eq!(part.header(name), Some(value), "{name}");
    }
    let absent = [
        "transfer-encoding",
        "content-md5",
        "x-amz-checksum-crc64nvme",
    ];
    assert!(absent.iter().all(|name| part.header(name).is_none()));
    let signed = part.header("authorization").unwrap();
    assert!(signed.contains("x-amz-trailer"), "{signed}");
}
