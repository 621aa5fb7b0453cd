use bytes::Bytes;
use datasync_endpoint::{Attributes, EntryKind, EntryPath, Handle, ListedObject, Node, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::links::names::Names;
use crate::sorter::{Sortable, Sorter, Spill};
use crate::walk::SourceEntry;

fn attributes(file_id: u64, nlink: u32, ctime: i64) -> Attributes {
    let at = |seconds| Timestamp {
        seconds,
        nanoseconds: 0,
    };
    Attributes {
        kind: EntryKind::File,
        mode: 0o644,
        uid: 1,
        gid: 1,
        size: 5,
        nlink,
        file_id,
        fsid: 9,
        mtime: at(-7),
        ctime: at(ctime),
        atime: at(0),
        device: None,
    }
}

/// A name of a file of the source, and what it leads to at the destination.
fn name(path: &str, source: u64, copy: Option<(u64, u32)>, is_current: bool) -> Name {
    let path = EntryPath::ROOT.child(path.as_bytes());
    let entry = SourceEntry {
        key: path.key(false),
        path,
        node: Node {
            handle: Handle(Bytes::from_static(b"handle")),
            attributes: attributes(source, 2, 100),
        },
    };
    let key = entry.key.clone();
    let listed = copy.map(|(id, names)| ListedObject::of_entry(key, &attributes(id, names, 200)));
    Name::new(entry, listed, is_current, None)
}

#[test]
fn names_stay_if_they_lead_to_one_file_on_both_sides() {
    let first = name("a", 1, Some((10, 2)), true);
    assert!(stays(&name("b", 1, Some((10, 2)), true), &first));
    for other in [
        name("b", 1, Some((10, 2)), false),
        name("b", 1, Some((11, 2)), true),
        name("b", 2, Some((10, 2)), true),
        name("b", 1, None, true),
    ] {
        assert!(!stays(&other, &first), "{other:?}");
    }
    let alone = name("a", 1, Some((10, 1)), true);
    assert!(!stays(&name("b", 1, Some((10, 1)), true), &alone));
    let mut touched = name("b", 1, Some((10, 2)), true);
    touched.entry.node.attributes.ctime.seconds += 1;
    assert!(!stays(&touched, &first), "it was met in another state");
}

#[test]
fn only_names_of_the_same_file_on_both_sides_share_it() {
    let first = name("a", 1, Some((10, 3)), false);
    let others = [
        name("b", 1, Some((10, 3)), false),
        name("c", 1, Some((11, 3)), false),
        name("d", 1, None, false),
        name("e", 2, Some((10, 3)), false),
        name("f", 1, Some((10, 3)), false),
    ];
    assert_eq!(
        own_names(&first, others.iter()),
        2,
        "f comes after another file"
    );
    assert_eq!(own_names(&first, [].iter()), 1);
}

fn any_name() -> impl Strategy<Value = Name> {
    let copy = proptest::option::of((0u64..3, 1u32..4));
    ("[a-z]{1,3}", 0u64..4, copy, any::<bool>())
        .prop_map(|(path, source, copy, is_current)| name(&path, source, copy, is_current))
}

fn sorter(directory: &std::path::Path, memory: usize) -> Sorter<Name> {
    let spill = Spill {
        directory: directory.to_owned(),
        disk: crate::disk::Disk::new(u64::MAX, 0),
        keeps_names: false,
    };
    Sorter::new(spill, memory)
}

proptest! {
    #[test]
    fn what_is_kept_is_what_was_met(name in any_name()) {
        let mut bytes = Vec::new();
        name.encode(&mut bytes);
        let mut input = bytes.as_slice();
        let found = Name::decode(&mut input).unwrap();
        prop_assert!(input.is_empty());
        prop_assert_eq!(format!("{found:?}"), format!("{name:?}"));
        for cut in 0..bytes.len() {
            prop_assert!(Name::decode(&mut &bytes[..cut]).is_none());
        }
    }

    /// Also with memory for one name only.
    #[test]
    fn names_of_one_file_follow_each_other_those_that_exist_first(
        names in proptest::collection::btree_map("[a-z]{1,3}", any_name(), 1..40),
        memory in prop_oneof![Just(1usize), Just(1 << 20)],
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let mut sorter = sorter(scratch.path(), memory);
            for (path, like) in &names {
                let copy = like.listed.is_some().then_some((1, 1));
                let (_, source) = like.file();
                sorter.push(name(path, source, copy, false)).await.unwrap();
            }
            let mut sorted = Names::of(sorter).await.unwrap();
            let mut found = Vec::new();
            while let Some(name) = sorted.next().await.unwrap() {
                let ahead = sorted.ahead().take_while(|other| other.file() == name.file());
                found.push((name.file(), name.listed.is_none(), name.key().clone(), ahead.count()));
            }
            found
        });
        prop_assert_eq!(found.len(), names.len());
        prop_assert!(found.is_sorted());
        for (at, (file, .., ahead)) in found.iter().enumerate() {
            let rest = found[at + 1..].iter().filter(|(other, ..)| other == file);
            prop_assert_eq!(rest.count(), *ahead);
        }
    }
}
