//! What every destination promises.

mod dates;
mod deletes;
mod links;
mod objects;
mod trees;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;

use super::pattern;
use dates::writes_are_dated_by_the_stores_clock;
use deletes::objects_are_deleted;
use links::{files_get_further_names, objects_of_stores_have_one_name};
use objects::objects_are_kept_and_listed_in_order;
use trees::{
    devices_keep_their_numbers, entries_after, names_are_of_one_kind,
    times_of_directories_are_set_at_the_end,
};
use uploads::{uploads_are_found_and_aborted, uploads_become_objects};

use crate::{
    Checksum, Crc64, Destination, ErrorKind, Integrity, Key, ListedObject, ObjectChecksum,
    ObjectHeader, ObjectState, PartReceipt, Payload, PosixMetadata, ReadBack, Timestamp, Unpaced,
};

/// Runs the whole suite on a location that has no objects and no uploads; a tree has its root.
///
/// # Panics
/// With the first promise that is broken.
pub async fn destination_contract<D: Destination>(destination: &D) {
    nothing_is_there(destination).await;
    objects_are_kept_and_listed_in_order(destination).await;
    long_listings_come_in_pages(destination).await;
    an_existing_object_can_be_protected(destination).await;
    wrong_checksums_are_refused(destination).await;
    metadata_is_replaced_alone(destination).await;
    uploads_become_objects(destination).await;
    uploads_are_found_and_aborted(destination).await;
    writes_are_dated_by_the_stores_clock(destination).await;
    if destination.tree().is_some() {
        names_are_of_one_kind(destination).await;
        times_of_directories_are_set_at_the_end(destination).await;
        files_get_further_names(destination).await;
        devices_keep_their_numbers(destination).await;
    } else {
        objects_of_stores_have_one_name(destination).await;
    }
    objects_are_deleted(destination).await;
}

fn key(text: &str) -> Key {
    Key::from_listing(text.to_owned())
}

fn metadata(seed: u32) -> PosixMetadata {
    let time = |nanoseconds| {
        Some(Timestamp {
            seconds: i64::from(seed),
            nanoseconds,
        })
    };
    PosixMetadata {
        owner: Some(seed),
        group: Some(u32::MAX - seed),
        permissions: Some(0o100_644),
        mtime: time(123_456_789),
        atime: time(0),
        device: None,
    }
}

/// The same, of an object of this key.
fn metadata_of(key: &Key, seed: u32) -> PosixMetadata {
    let permissions = if key.is_directory() {
        0o040_755
    } else {
        0o100_644
    };
    PosixMetadata {
        permissions: Some(permissions),
        ..metadata(seed)
    }
}

fn header(seed: u32) -> ObjectHeader {
    ObjectHeader {
        metadata: metadata(seed),
        storage_class: None,
        only_if_absent: false,
        properties: None,
        extended: None,
    }
}

fn payload(content: &[u8]) -> Payload {
    let chunks = content
        .chunks(100_000)
        .map(Bytes::copy_from_slice)
        .collect();
    Payload {
        chunks,
        length: content.len() as u64,
        crc64: Crc64::of(content),
        pace: Arc::new(Unpaced),
    }
}

fn whole(content: &[u8]) -> ReadBack {
    ReadBack {
        size: content.len() as u64,
        crc64: Crc64::of(content),
    }
}

async fn put(destination: &impl Destination, key: &Key, content: &[u8]) -> ObjectState {
    let header = ObjectHeader {
        metadata: metadata_of(key, 7),
        ..header(7)
    };
    let put = destination.put(key, &header, payload(content)).await;
    let receipt = put.unwrap_or_else(|error| panic!("put {key:?}: {error}"));
    // A file system has read back what it got.
    let is_tree = destination.tree().is_some();
    let proves = is_tree || destination.abilities().integrity != Integrity::ReadBack;
    assert_eq!(
        receipt.vouched,
        proves,
        "{:?}",
        destination.abilities().integrity
    );
    let found = stat(destination, key)
        .await
        .expect("the object was just put");
    // The times of a tree's directories are set at the end.
    if destination.tree().is_none() || !key.is_directory() {
        assert_eq!(found.etag, receipt.etag);
    }
    let algorithm = destination.abilities().integrity.algorithm();
    let checksum = algorithm.map(|algorithm| Checksum::of(algorithm, content));
    let checksum = checksum.map(ObjectChecksum::whole);
    assert_eq!((receipt.checksum, found.checksum), (checksum, checksum));
    found
}

async fn stat(destination: &impl Destination, key: &Key) -> Option<ObjectState> {
    destination.stat(key).await.expect("stat")
}

/// Everything after a key, page by page; checks the order.
async fn list(destination: &impl Destination, after: Option<Key>) -> Vec<ListedObject> {
    if let Some(tree) = destination.tree() {
        return entries_after(&*tree, after).await;
    }
    let mut found: Vec<ListedObject> = Vec::new();
    let mut last = after;
    loop {
        let page = destination.list(last.as_ref()).await.expect("list");
        assert!(
            page.objects.len() <= 1000,
            "{} objects in a page",
            page.objects.len()
        );
        for object in page.objects {
            assert!(
                last.as_ref().is_none_or(|last| *last < object.key),
                "{:?}",
                object.key
            );
            last = Some(object.key.clone());
            found.push(object);
        }
        if !page.more {
            return found;
        }
    }
}

async fn nothing_is_there(destination: &impl Destination) {
    assert_eq!(objects(destination).await, []);
    assert_eq!(stat(destination, &key("absent")).await, None);
    let error = destination
        .read_back(&key("absent"))
        .await
        .expect_err("no such object");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert_eq!(
        destination
            .open_uploads(&key("absent"))
            .await
            .expect("open_uploads"),
        []
    );
}

/// Everything but the root of a tree, which is always there.
async fn objects(destination: &impl Destination) -> Vec<ListedObject> {
    let mut found = list(destination, None).await;
    if destination.tree().is_some() {
        assert_eq!(
            found.first().map(|root| root.key.clone()),
            Some(Key::default())
        );
        found.remove(0);
    }
    found
}

async fn long_listings_come_in_pages(destination: &impl Destination) {
    let before = list(destination, Some(key("page/"))).await.len();
    for number in 0..1_005 {
        let key = key(&format!("page/{number:04}"));
        destination
            .put(&key, &header(1), payload(b""))
            .await
            .expect("put");
    }
    let found = list(destination, Some(key("page/"))).await;
    assert_eq!(found.len(), before + 1_005);
    for (number, object) in found.iter().take(1_005).enumerate() {
        assert_eq!(object.key, key(&format!("page/{number:04}")));
    }
}

async fn an_existing_object_can_be_protected(destination: &impl Destination) {
    let key = key("protected");
    let careful = ObjectHeader {
        only_if_absent: true,
        ..header(2)
    };
    destination
        .put(&key, &careful, payload(b"first"))
        .await
        .expect("nothing is there yet");
    let error = destination
        .put(&key, &careful, payload(b"second"))
        .await
        .expect_err("protected");
    assert_eq!(error.kind, ErrorKind::Precondition, "{error}");
    assert_eq!(
        destination.read_back(&key).await.expect("read_back"),
        whole(b"first")
    );
    put(destination, &key, b"third").await;
    assert_eq!(
        destination.read_back(&key).await.expect("read_back"),
        whole(b"third")
    );
}

async fn wrong_checksums_are_refused(destination: &impl Destination) {
    let integrity = destination.abilities().integrity;
    if !matches!(integrity, Integrity::Crc64 | Integrity::Checksum(_)) {
        return;
    }
    let key = key("wrong");
    let wrong = || Payload {
        crc64: Crc64(1),
        ..payload(b"content")
    };
    let error = destination
        .put(&key, &header(1), wrong())
        .await
        .expect_err("a wrong checksum");
    assert_eq!(error.kind, ErrorKind::ChecksumRefused, "{error}");
    assert_eq!(stat(destination, &key).await, None);
    let upload = destination
        .create_upload(&key, &header(1), 7)
        .await
        .expect("create_upload");
    let part = destination.upload_part(&key, &upload, 1, wrong()).await;
    let error = part.expect_err("a wrong checksum");
    assert_eq!(error.kind, ErrorKind::ChecksumRefused, "{error}");
    let part = destination
        .upload_part(&key, &upload, 1, payload(b"content"))
        .await
        .expect("part");
    let (part, whole) = match part.checksum {
        // What a part is named by must be what it has.
        Some(checksum) => {
            let checksum = Some(Checksum::of(checksum.algorithm(), b"another"));
            (PartReceipt { checksum, ..part }, Crc64::of(b"content"))
        }
        None => (part, Crc64(1)),
    };
    let completed = destination
        .complete_upload(&key, &upload, &header(1), &[part], whole)
        .await;
    let error = completed.expect_err("a wrong checksum of the whole");
    let refusals = [ErrorKind::ChecksumRefused, ErrorKind::Invalid];
    assert!(refusals.contains(&error.kind), "{error}");
    assert_eq!(stat(destination, &key).await, None);
    destination
        .abort_upload(&key, &upload)
        .await
        .expect("abort_upload");
}

async fn metadata_is_replaced_alone(destination: &impl Destination) {
    let key = key("meta/data é");
    let content = pattern(4, 10_000);
    let before = put(destination, &key, &content).await;
    let changed = metadata(99);
    let receipt = destination
        .set_metadata(&key, &before, &changed, None)
        .await
        .expect("set_metadata");
    let after = stat(destination, &key).await.expect("it is there");
    assert!(changed.agrees_with(&after.metadata), "{:?}", after.metadata);
    assert_eq!(after.etag, receipt.etag);
    assert_eq!(
        (after.size, &after.storage_class),
        (before.size, &before.storage_class)
    );
    assert_eq!(
        destination.read_back(&key).await.expect("read_back"),
        whole(&content)
    );
    put(destination, &key, b"replaced by somebody else").await;
    let stale = destination
        .set_metadata(&key, &after, &metadata(5), None)
        .await;
    let error = stale.expect_err("the object is another one now");
    assert_eq!(error.kind, ErrorKind::Precondition, "{error}");
    let kept = stat(destination, &key).await.expect("it is there").metadata;
    assert!(metadata(7).agrees_with(&kept), "{kept:?}");
}
