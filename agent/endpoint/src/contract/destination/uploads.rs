//! Multipart uploads.

use super::{header, key, metadata, payload, stat, whole};
use crate::contract::pattern;
use crate::{Crc64, Destination, ErrorKind, Key, ObjectHasher, PartReceipt, StoredPart, UploadId};

pub(super) async fn uploads_become_objects(destination: &impl Destination) {
    let key = key("up/load");
    let part = usize::try_from(destination.abilities().part_min).expect("a part fits memory");
    let content = pattern(5, part + 12_345);
    let size = content.len() as u64;
    let upload = destination
        .create_upload(&key, &header(3), size)
        .await
        .expect("create_upload");
    let mut parts = Vec::new();
    // Out of order, and one of them twice: the later one counts.
    for (number, bytes) in [
        (2, &content[part..]),
        (1, &content[1..=part]),
        (1, &content[..part]),
    ] {
        let sent = destination
            .upload_part(&key, &upload, number, payload(bytes))
            .await;
        let receipt = sent.expect("upload_part");
        assert_eq!(
            (receipt.number, receipt.length),
            (number, bytes.len() as u64)
        );
        assert_eq!(receipt.crc64, Crc64::of(bytes));
        parts.retain(|known: &PartReceipt| known.number != number);
        parts.push(receipt);
    }
    parts.sort_by_key(|part| part.number);
    assert_eq!(
        stat(destination, &key).await,
        None,
        "an open upload is visible"
    );
    let all = Crc64::of(&content);
    let completed = destination
        .complete_upload(&key, &upload, &header(3), &parts, all)
        .await;
    let receipt = completed.expect("complete_upload");
    let found = stat(destination, &key).await.expect("it was completed");
    assert_eq!((found.size, &found.etag), (size, &receipt.etag));
    assert!(
        metadata(3).agrees_with(&found.metadata),
        "{:?}",
        found.metadata
    );
    assert!(found.crc64.is_none_or(|crc64| crc64 == all));
    let checksum = destination
        .abilities()
        .integrity
        .algorithm()
        .map(|algorithm| {
            let mut hasher = ObjectHasher::new(algorithm, Some(part as u64));
            hasher.update(&content);
            hasher.finish()
        });
    assert_eq!((receipt.checksum, found.checksum), (checksum, checksum));
    assert_eq!(
        destination.read_back(&key).await.expect("read_back"),
        whole(&content)
    );
    assert_eq!(
        destination.open_uploads(&key).await.expect("open_uploads"),
        []
    );
    let gone = destination
        .upload_part(&key, &upload, 1, payload(b"late"))
        .await;
    let error = gone.expect_err("the upload is gone");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

pub(super) async fn uploads_are_found_and_aborted(destination: &impl Destination) {
    // No key need be possible beside the others: nothing of them is completed.
    let keys = ["open/a", "open/a-b", "open/a/b", "open/"].map(key);
    let mut uploads: Vec<(Key, UploadId)> = Vec::new();
    for key in keys.iter().chain(&keys[..1]) {
        let upload = destination
            .create_upload(key, &header(1), 1)
            .await
            .expect("create_upload");
        uploads.push((key.clone(), upload));
    }
    for key in &keys {
        let found = destination.open_uploads(key).await.expect("open_uploads");
        let mut found: Vec<_> = found.into_iter().map(|open| open.id.0).collect();
        let ours = uploads.iter().filter(|(known, _)| known == key);
        let mut wanted: Vec<_> = ours.map(|(_, upload)| upload.0.clone()).collect();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{key:?}");
    }
    for (key, upload) in &uploads {
        let parts = destination.parts(key, upload).await;
        assert_eq!(parts.expect("parts"), [], "{key:?}");
        parts_are_listed_as_they_are(destination, key, upload).await;
        destination
            .abort_upload(key, upload)
            .await
            .expect("abort_upload");
        destination
            .abort_upload(key, upload)
            .await
            .expect("a second abort_upload");
        let gone = destination.parts(key, upload).await;
        let error = gone.expect_err("the upload is gone");
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    }
    for key in &keys {
        assert_eq!(
            destination.open_uploads(key).await.expect("open_uploads"),
            []
        );
        assert_eq!(stat(destination, key).await, None);
    }
}

/// In order of their numbers, not of their arrival; of one that was sent twice, the later.
async fn parts_are_listed_as_they_are(
    destination: &impl Destination,
    key: &Key,
    upload: &UploadId,
) {
    let mut wanted = Vec::new();
    for (number, content) in [(7, &b"7"[..]), (1, b"old"), (1, b"1"), (3, b"three")] {
        let sent = destination
            .upload_part(key, upload, number, payload(content))
            .await;
        let receipt = sent.expect("upload_part");
        wanted.retain(|known: &PartReceipt| known.number != number);
        wanted.push(receipt);
    }
    wanted.sort_by_key(|receipt| receipt.number);
    let parts = destination.parts(key, upload).await.expect("parts");
    for (part, wanted) in parts.iter().zip(&wanted) {
        let agrees = part.crc64.is_none_or(|found| found == wanted.crc64);
        assert!(
            agrees && part.checksum == wanted.checksum,
            "{key:?} {part:?}"
        );
    }
    let seen = |part: &StoredPart| (part.number, part.etag.clone(), part.length);
    let sent = |part: &PartReceipt| (part.number, part.etag.clone(), part.length);
    let parts: Vec<_> = parts.iter().map(seen).collect();
    let wanted: Vec<_> = wanted.iter().map(sent).collect();
    assert_eq!(parts, wanted, "{key:?}");
}
