//! The time that the store tells with its answers, through the SDK and without it.

use std::time::SystemTime;

use datasync_endpoint::{Destination, PosixMetadata, Receipt};
use quickstart_store::StoreIntegrity;

use crate::setup::{header, key, payload};
use crate::world::World;

fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test]
async fn every_way_to_write_tells_the_stores_time() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("").await;
    let key = key("a");

    let began = seconds(SystemTime::now());
    let mut receipts: Vec<Receipt> = Vec::new();
    // Small bodies go without the SDK.
    for length in [10, 2 << 20] {
        let put = destination
            .put(&key, &header(), payload(&vec![7; length]))
            .await;
        receipts.push(put.unwrap());
    }
    let found = destination.stat(&key).await.unwrap().unwrap();
    let metadata = PosixMetadata {
        owner: Some(1),
        ..header().metadata
    };
    let set = destination
        .set_metadata(&key, &found, &metadata, None)
        .await;
    receipts.push(set.unwrap());
    let upload = destination.create_upload(&key, &header(), 3).await.unwrap();
    let part = destination
        .upload_part(&key, &upload, 1, payload(b"777"))
        .await;
    let (parts, whole) = ([part.unwrap()], payload(b"777").crc64);
    let completed = destination
        .complete_upload(&key, &upload, &header(), &parts, whole)
        .await;
    receipts.push(completed.unwrap());
    let ended = seconds(SystemTime::now());
    for receipt in receipts {
        let date = receipt.date.unwrap().seconds;
        // A server may keep its clock's second for the next request.
        assert!(
            (began - 1..=ended + 1).contains(&date),
            "{began} {date} {ended}"
        );
    }
}
