//! What deleting promises.

use super::trees::settle;
use super::{key, objects, put, stat};
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
    a_changed_object_stays(destination).await;
    let mut all: Vec<_> = objects(destination)
        .await
        .into_iter()
        .map(|object| identifier(object.key, &object.etag))
        .collect();
    if destination.tree().is_some() {
        a_full_directory_stays(destination).await;
        // What is in a directory goes before it.
        all.reverse();
    }
    for objects in all.chunks(DELETE_MAX) {
        delete_all(destination, objects).await;
    }
    settle(destination).await;
    assert_eq!(objects(destination).await, []);
}

/// Where the ETag is compared; stores that cannot delete what they are given.
async fn a_changed_object_stays(destination: &impl Destination) {
    if destination.tree().is_none() {
        return;
    }
    let changed = key("changed");
    let found = put(destination, &changed, b"1").await;
    put(destination, &changed, b"another").await;
    let outcomes = destination
        .delete(&[identifier(changed.clone(), &found.etag)])
        .await;
    let error = outcomes
        .into_iter()
        .next()
        .expect("one outcome")
        .expect_err("it was changed");
    assert_eq!(error.kind, crate::ErrorKind::Precondition, "{error}");
    assert!(stat(destination, &changed).await.is_some());
}

async fn a_full_directory_stays(destination: &impl Destination) {
    put(destination, &key("full/of"), b"1").await;
    let full = key("full/");
    let found = stat(destination, &full).await.expect("it was made");
    let outcomes = destination
        .delete(&[identifier(full.clone(), &found.etag)])
        .await;
    let refused = outcomes.into_iter().next().expect("one outcome");
    assert!(refused.is_err());
    let of = stat(destination, &key("full/of")).await.expect("it stays");
    delete_all(
        destination,
        &[
            identifier(key("full/of"), &of.etag),
            identifier(full, &found.etag),
        ],
    )
    .await;
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
