//! Files with several names.

use super::{header, key, list, payload, put, stat, whole};
use crate::{
    Destination, EndpointError, ErrorKind, Key, ObjectHeader, ObjectIdentifier, ObjectState,
    SharedFile,
};

async fn named(destination: &impl Destination, text: &str) -> ObjectIdentifier {
    let key = key(text);
    let found = stat(destination, &key).await;
    let ObjectState { etag, .. } = found.unwrap_or_else(|| panic!("{text} is there"));
    ObjectIdentifier { key, etag }
}

async fn refused(
    destination: &impl Destination,
    text: &str,
    to: &ObjectIdentifier,
    only_if_absent: bool,
) -> EndpointError {
    let linked = destination.link(&key(text), to, only_if_absent).await;
    linked
        .err()
        .unwrap_or_else(|| panic!("{text} got the file"))
}

fn file(object: &ObjectIdentifier) -> Option<SharedFile> {
    SharedFile::of_etag(&object.etag)
}

pub(super) async fn objects_of_stores_have_one_name(destination: &impl Destination) {
    put(destination, &key("single"), b"1").await;
    let single = named(destination, "single").await;
    let error = refused(destination, "double", &single, false).await;
    assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
    assert_eq!(stat(destination, &key("double")).await, None);
}

pub(super) async fn files_get_further_names(destination: &impl Destination) {
    put(destination, &key("links/a"), b"one content").await;
    let first = named(destination, "links/a").await;
    assert_eq!(file(&first), None, "it has one name");
    put(destination, &key("links/taken"), b"another").await;
    // By what was known of it before it had other names too.
    for text in ["links/b", "links/far/away/c", "links/taken", "links/b"] {
        let linked = destination.link(&key(text), &first, false).await;
        let receipt = linked.unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = named(destination, text).await;
        assert_eq!(receipt.etag, found.etag, "{text}");
        let read = destination.read_back(&key(text)).await;
        assert_eq!(read.expect("read_back"), whole(b"one content"), "{text}");
    }
    let of_all = file(&named(destination, "links/a").await).expect("it has several names");
    assert_eq!(of_all.names, 4);
    for text in ["links/b", "links/far/away/c", "links/taken"] {
        assert_eq!(
            file(&named(destination, text).await),
            Some(of_all),
            "{text}"
        );
    }
    only_free_names_are_given(destination, &first).await;
    a_name_that_is_written_is_a_file_of_its_own(destination).await;
    names_are_deleted_one_by_one(destination).await;
}

async fn only_free_names_are_given(destination: &impl Destination, first: &ObjectIdentifier) {
    put(destination, &key("links/kept"), b"kept").await;
    let error = refused(destination, "links/kept", first, true).await;
    assert_eq!(error.kind, ErrorKind::Precondition, "{error}");
    let kept = destination.read_back(&key("links/kept")).await;
    assert_eq!(kept.expect("read_back"), whole(b"kept"));
    for (text, only_if_absent) in [("links/free", true), ("links/free", true)] {
        let linked = destination.link(&key(text), first, only_if_absent).await;
        linked.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    put(destination, &key("links/directory/"), b"").await;
    for text in ["links/directory", "links/kept/below", "..", ""] {
        let error = refused(destination, text, first, false).await;
        assert_eq!(error.kind, ErrorKind::InvalidName, "{text}: {error}");
    }
    for gone in ["links/kept", "links/nothing", "links/directory/"] {
        let to = ObjectIdentifier {
            key: key(gone),
            etag: first.etag.clone(),
        };
        let error = refused(destination, "links/more", &to, false).await;
        assert_eq!(error.kind, ErrorKind::NotFound, "{gone}: {error}");
    }
    assert_eq!(stat(destination, &key("links/more")).await, None);
}

async fn a_name_that_is_written_is_a_file_of_its_own(destination: &impl Destination) {
    put(destination, &key("links/b"), b"its own").await;
    let names = file(&named(destination, "links/a").await).map(|file| file.names);
    assert_eq!(names, Some(4), "a, c, taken and free");
    let read = destination.read_back(&key("links/a")).await;
    assert_eq!(read.expect("read_back"), whole(b"one content"));
    let careful = ObjectHeader {
        only_if_absent: true,
        ..header(1)
    };
    let put = destination
        .put(&key("links/a"), &careful, payload(b""))
        .await;
    assert!(put.is_err(), "it is there");
}

/// Each as it was listed, although the others change what is known of the file.
async fn names_are_deleted_one_by_one(destination: &impl Destination) {
    let names = ["links/a", "links/far/away/c", "links/taken", "links/free"].map(key);
    let listed = list(destination, None).await;
    let listed: Vec<_> = listed
        .into_iter()
        .filter(|object| names.contains(&object.key))
        .map(|object| ObjectIdentifier {
            key: object.key,
            etag: object.etag,
        })
        .collect();
    assert_eq!(listed.len(), 4);
    for outcome in destination.delete(&listed).await {
        outcome.expect("nobody else changed it");
    }
    for key in &names {
        let found: (&Key, _) = (key, stat(destination, key).await);
        assert_eq!(found, (key, None));
    }
}
