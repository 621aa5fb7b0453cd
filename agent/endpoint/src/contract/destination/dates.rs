//! What answers tell of the time.

use tokio::time::Instant;

use super::{header, key, list, metadata, payload, stat};
use crate::{Crc64, Destination, Key, Receipt};

/// Where a receipt has a date, the listing's is not later, and not earlier than the call began;
/// both are whole seconds, rounded in any way.
pub(super) async fn writes_are_dated_by_the_stores_clock(destination: &impl Destination) {
    let key = key("dated");
    let began = Instant::now();
    let put = destination.put(&key, &header(1), payload(b"1")).await;
    is_dated(destination, &key, began, put.expect("put")).await;

    let current = stat(destination, &key).await.expect("it was just put");
    let began = Instant::now();
    let set = destination
        .set_metadata(&key, &current, &metadata(2), None)
        .await;
    is_dated(destination, &key, began, set.expect("set_metadata")).await;

    let began = Instant::now();
    let upload = destination.create_upload(&key, &header(3), 1).await;
    let upload = upload.expect("create_upload");
    let part = destination
        .upload_part(&key, &upload, 1, payload(b"2"))
        .await;
    let parts = [part.expect("upload_part")];
    let whole = Crc64::of(b"2");
    let completed = destination
        .complete_upload(&key, &upload, &header(3), &parts, whole)
        .await;
    is_dated(
        destination,
        &key,
        began,
        completed.expect("complete_upload"),
    )
    .await;
}

async fn is_dated(destination: &impl Destination, key: &Key, began: Instant, receipt: Receipt) {
    let took = i64::try_from(began.elapsed().as_secs()).expect("a short time");
    let Some(date) = receipt.date else { return };
    let listed = list(destination, None).await;
    let listed = listed.iter().find(|object| object.key == *key);
    let modified = listed.expect("it was just written").last_modified.seconds;
    let span = date.seconds - took - 2..=date.seconds + 1;
    assert!(span.contains(&modified), "{modified} is not in {span:?}");
}
