use super::*;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'-'),
        Just(b'.'),
        Just(b'0'),
        Just(b'a'),
        Just(0xf4),
        Just(0x8f),
        Just(0x9e),
        Just(0x80),
        Just(0xff),
        1u8..=255,
    ];
    proptest::collection::vec(byte, 1..8)
        .prop_map(|bytes| {
            bytes
                .into_iter()
                .map(|b| if b == b'/' { b'_' } else { b })
                .collect()
        })
        .prop_filter("dots", |name: &Vec<u8>| {
            name.as_slice() != b"." && name.as_slice() != b".."
        })
}

#[test]
fn valid_names_are_their_own_segments() {
    for text in [
        "a", "sp ace", "né", "e\u{301}", "a%2Fb", "\u{fffe}", "\u{1}", "\n", "\u{f700}",
    ] {
        assert_eq!(encode_name(text.as_bytes()), text);
    }
    assert_eq!(encode_name(b"a\xffb"), "a\u{10f7ff}b");
    assert_eq!(
        encode_name("\u{10f7ff}".as_bytes()),
        "\u{10f7f4}\u{10f78f}\u{10f79f}\u{10f7bf}"
    );
}

#[test]
fn keys_of_no_path_are_told() {
    for text in [
        "/",
        "a//b",
        "x/../y",
        "./a",
        "/a",
        "a\u{10f7c3}\u{10f7a9}",
        "\u{0}",
        "a//",
    ] {
        assert_eq!(
            Key::from_listing(text.to_owned()).path(),
            Err(KeyError),
            "{text:?}"
        );
    }
    assert_eq!(Key::default().path(), Ok(EntryPath::ROOT));
}

#[test]
fn paths_are_shown_without_control_characters() {
    let path = EntryPath::ROOT.child(b"a\nb").child(b"\xff");
    assert_eq!(path.to_string(), "/a\\nb/\\xff");
}

/// Keys of a tree as a walk emits them: siblings by sort segment, directories before their content.
fn walk(tree: &std::collections::BTreeMap<Vec<u8>, Vec<Vec<u8>>>) -> Vec<Key> {
    let mut siblings: Vec<_> = tree
        .iter()
        .map(|(name, children)| (Key::sort_segment(name, !children.is_empty()), children))
        .collect();
    siblings.sort();
    let mut keys = Vec::new();
    for (segment, children) in siblings {
        let key = Key::default().join(&segment);
        let mut below: Vec<_> = children
            .iter()
            .map(|c| Key::sort_segment(c, false))
            .collect();
        below.sort();
        let content: Vec<Key> = below.iter().map(|segment| key.join(segment)).collect();
        keys.push(key);
        keys.extend(content);
    }
    keys
}

proptest! {
    #[test]
    fn encoding_is_injective_and_reversible(a in name(), b in name()) {
        let (x, y) = (encode_name(&a), encode_name(&b));
        prop_assert_eq!(decode_name(&x), Some(a.clone()));
        prop_assert!(!x.contains('/'));
        prop_assert_eq!(a == b, x == y);
    }

    #[test]
    fn decoding_accepts_only_what_encoding_emits(text in "[a./\u{10f780}-\u{10f7ff}\u{80}é]{1,6}") {
        if let Some(name) = decode_name(&text) {
            prop_assert_eq!(encode_name(&name), text);
        }
    }

    #[test]
    fn a_walk_in_segment_order_is_in_key_order(
        tree in proptest::collection::btree_map(name(), proptest::collection::vec(name(), 0..4), 0..8)
    ) {
        let mut keys = walk(&tree);
        keys.dedup();
        let mut sorted = keys.clone();
        sorted.sort();
        prop_assert_eq!(keys, sorted);
    }

    #[test]
    fn keys_lead_back_to_paths(names in proptest::collection::vec(name(), 0..4), directory: bool) {
        let path = names.iter().fold(EntryPath::ROOT, |path, name| path.child(name));
        prop_assert_eq!(path.key(directory).path(), Ok(path));
    }
}
