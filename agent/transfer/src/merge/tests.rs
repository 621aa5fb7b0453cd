use datasync_endpoint::{Attributes, EntryKind, ErrorKind, Handle, Node, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::paged;

fn key(text: &str) -> Key {
    Key::from_listing(text.to_owned())
}

fn entry(text: &str) -> Walked {
    let time = Timestamp::default();
    let attributes = Attributes {
        kind: EntryKind::File,
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        nlink: 1,
        file_id: 0,
        fsid: 0,
        mtime: time,
        ctime: time,
        atime: time,
        device: None,
    };
    let node = Node {
        handle: Handle(bytes::Bytes::new()),
        attributes,
    };
    Walked::Entry(SourceEntry {
        key: key(text),
        path: EntryPath::ROOT,
        node,
    })
}

fn object(text: &str) -> Listed {
    Listed::Object(ListedObject {
        key: key(text),
        size: 0,
        etag: String::new(),
        last_modified: Timestamp::default(),
        storage_class: None,
    })
}

async fn merged(source: &[String], destination: &[String]) -> Vec<(Option<Key>, Option<Key>)> {
    let (walk, walked) = paged::channel(source.len() + 1);
    let (list, listed) = paged::channel(destination.len() + 1);
    for text in source {
        walk.send(vec![entry(text)]).await.unwrap();
    }
    walk.send(vec![Walked::End]).await.unwrap();
    let objects = destination.iter().map(|text| object(text));
    let end = [Listed::End];
    list.send(objects.chain(end).collect()).await.unwrap();
    let mut merge = Merge::new(walked, Some(listed));
    let mut steps = Vec::new();
    loop {
        match merge.next().await.unwrap() {
            Step::Entry(entry, object) => steps.push((Some(entry.key), object.map(|o| o.key))),
            Step::Extra(object) => steps.push((None, Some(object.key))),
            Step::End => return steps,
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn every_key_comes_once_in_order_with_its_partner(
        source in proptest::collection::btree_set("[ab/.-]{1,4}", 0..12),
        destination in proptest::collection::btree_set("[ab/.-]{1,4}", 0..12),
    ) {
        let source: Vec<String> = source.into_iter().collect();
        let destination: Vec<String> = destination.into_iter().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let steps = runtime.block_on(merged(&source, &destination));
        let mut expected: Vec<&String> = source.iter().chain(&destination).collect();
        expected.sort();
        expected.dedup();
        let found: Vec<(Option<Key>, Option<Key>)> = expected
            .into_iter()
            .map(|text| {
                let on = |side: &[String]| side.contains(text).then(|| key(text));
                (on(&source), on(&destination))
            })
            .collect();
        prop_assert_eq!(steps, found);
    }
}

#[test]
fn a_shadow_covers_what_is_below_it_and_nothing_else() {
    let mut shadow = Shadow::default();
    shadow.cast(key("a/"));
    assert!(!shadow.covers(&key("a-b")));
    assert!(!shadow.covers(&key("a.txt")));
    assert!(shadow.covers(&key("a/x")));
    assert!(shadow.covers(&key("a/x/y")));
    assert!(!shadow.covers(&key("a0")));
    shadow.cast(Key::default());
    assert!(shadow.covers(&key("z")));
}

#[tokio::test]
async fn an_object_before_a_directory_that_cannot_be_read_is_not_overtaken() {
    let unread = |text| {
        let Walked::Entry(directory) = entry(text) else {
            unreachable!("an entry")
        };
        let error = EndpointError::new(ErrorKind::PermissionDenied, "READDIR", text, "no");
        let error = Arc::new(error);
        Walked::Unread { directory, error }
    };
    let (walk, walked) = paged::channel(1);
    let (list, listed) = paged::channel(1);
    walk.send(vec![unread("a/"), unread("b/"), Walked::End])
        .await
        .unwrap();
    let objects = ["a/1", "a0", "b/"].map(object);
    list.send(objects.into_iter().chain([Listed::End]).collect())
        .await
        .unwrap();
    let mut merge = Merge::new(walked, Some(listed));
    let mut met = Vec::new();
    loop {
        met.push(match merge.next().await.unwrap() {
            Step::Extra(object) => object.key.to_string(),
            Step::Unread { directory, .. } => format!("unread {}", directory.key),
            Step::End => break,
            step => panic!("{step:?}"),
        });
    }
    assert_eq!(met, ["unread a/", "a/1", "a0", "unread b/", "b/"]);
}

#[test]
fn a_shadow_of_many_directories_takes_no_more_room() {
    let mut shadow = Shadow::default();
    let mut names: Vec<_> = (0..2_000).map(|n| format!("{n:04}")).collect();
    names.extend((1..200).map(|n| format!("x{}", "-".repeat(n))));
    for name in names {
        shadow.cast(key(&name).join("/"));
        assert!(shadow.prefixes.len() <= name.len() + 1, "{shadow:?}");
    }
    assert!(shadow.covers(&key("x--/below")));
    assert!(shadow.covers(&key("x-/below")));
}

#[tokio::test]
async fn a_name_that_is_no_key_can_be_refused_and_its_object_stays() {
    let (walk, walked) = paged::channel(1);
    let (list, listed) = paged::channel(1);
    let odd = EntryPath::ROOT.child(b"a\xff");
    let Walked::Entry(plain) = entry("b") else {
        panic!("an entry");
    };
    let escaped = SourceEntry {
        key: odd.key(false),
        path: odd.clone(),
        ..plain.clone()
    };
    let text = escaped.key.as_str().to_owned();
    let entries = vec![Walked::Entry(escaped), Walked::Entry(plain), Walked::End];
    walk.send(entries).await.unwrap();
    list.send(vec![object(&text), Listed::End]).await.unwrap();
    let mut merge = Merge::new(walked, Some(listed)).with_names(NameEncoding::Refuse);
    let Step::Unknown { path, key, error } = merge.next().await.unwrap() else {
        panic!("refused");
    };
    assert_eq!((path, key.as_str()), (odd, text.as_str()));
    assert_eq!(error.kind, ErrorKind::InvalidName);
    assert!(
        matches!(merge.next().await.unwrap(), Step::Entry(found, None) if found.key == self::key("b"))
    );
    assert!(matches!(merge.next().await.unwrap(), Step::End));
}
