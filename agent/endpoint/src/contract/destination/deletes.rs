//! What deleting promises.

use super::{key, list, put, stat};
use crate::{DELETE_MAX, Destination, Key, ObjectIdentifier};

fn identifier(key: Key, etag: &str) -> ObjectIdentifier {
    ObjectIdentifier {
        key,
        etag: etag.to_owned(),
    }
}

async fn delete_all(destination: &impl Destination, objects: &[ObjectIdentifier]) {
    let outcomes = destination.delete(objects).await;
    assert_eq!(outcomes.len(), objects.len(), "one outcome for each");
    for (outcome, object) in outcomes.into_iter().zip(objects) {
        outcome.unwrap_or_else(|error| panic!("{:?}: {error}", object.key));
    }
}

/// Empties the location.
pub(super) async fn objects_are_deleted(destination: &impl Destination) {
    assert!(destination.delete(&[]).await.is_empty());
    let doomed = key("doomed");
    let found = put(destination, &doomed, b"1").await;
    let doomed = identifier(doomed, &found.etag);
    let absent = identifier(key("never there"), &found.etag);
    delete_all(destination, &[absent, doomed.clone()]).await;
    assert_eq!(stat(destination, &doomed.key).await, None);
    delete_all(destination, &[doomed]).await;
    neighbours_by_blanks_are_kept(destination).await;
    let all: Vec<_> = list(destination, None)
        .await
        .into_iter()
        .map(|object| identifier(object.key, &object.etag))
        .collect();
    for objects in all.chunks(DELETE_MAX) {
        delete_all(destination, objects).await;
    }
    assert_eq!(list(destination, None).await, []);
}

/// Keys that differ only by blanks, which careless readers of XML cut off, with equal contents.
async fn neighbours_by_blanks_are_kept(destination: &impl Destination) {
    let kept = ["blank", "blank\n", "blank\t"];
    for text in kept {
        put(destination, &key(text), b"").await;
    }
    for text in ["blank ", " blank", "blank\r\n", "blank\r"] {
        let found = put(destination, &key(text), b"").await;
        delete_all(destination, &[identifier(key(text), &found.etag)]).await;
        assert_eq!(stat(destination, &key(text)).await, None, "{text:?}");
        for text in kept {
            assert!(stat(destination, &key(text)).await.is_some(), "{text:?}");
        }
    }
}
