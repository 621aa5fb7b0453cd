use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

fn entry() -> Entry {
    Entry {
        size: 1,
        modified: 2,
        etag: "e".into(),
        storage_class: None,
        checksum: None,
    }
}

fn index(keys: &BTreeSet<String>) -> Index {
    keys.iter()
        .map(|key| (key.as_str().into(), entry()))
        .collect()
}

/// The definition: every item that a listing without pages would show, in order.
fn model(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
    let mut items = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let item = match delimiter.and_then(|d| rest.find(d).map(|at| at + d.len())) {
            Some(end) => key[..prefix.len() + end].to_owned(),
            None => key.clone(),
        };
        if items.last() != Some(&item) {
            items.push(item);
        }
    }
    items
}

fn paged(index: &Index, prefix: &str, delimiter: Option<&str>, max: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let after = names.last().cloned();
        let page = list(index, prefix, delimiter, after.as_deref(), max);
        assert!(page.items.len() <= max);
        names.extend(page.items.iter().map(|item| item.name().to_owned()));
        if !page.truncated {
            return names;
        }
        assert_eq!(page.items.len(), max, "a truncated page is full");
    }
}

proptest! {
    #[test]
    fn pages_equal_the_model(
        keys in btree_set("[ab/\u{1}é\u{D7FF}\u{E000}\u{10FFFF}-]{1,6}", 0..60),
        prefix in "[ab/]{0,2}",
        delimiter in prop_oneof![Just(None), Just(Some("/")), Just(Some("b/")), Just(Some("\u{10FFFF}"))],
        max in 1_usize..8,
    ) {
        let names = paged(&index(&keys), &prefix, delimiter, max);
        prop_assert_eq!(names, model(&keys, &prefix, delimiter));
    }

    #[test]
    fn start_after_skips_what_sorts_before(
        keys in btree_set("[ab/é]{1,4}", 0..40),
        prefix in "[ab/]{0,1}",
        after in "[ab/é]{0,4}",
    ) {
        let page = list(&index(&keys), &prefix, None, Some(&after), usize::MAX);
        let names: Vec<_> = page.items.iter().map(|item| item.name().to_owned()).collect();
        let mut expected = model(&keys, &prefix, None);
        expected.retain(|key| *key > after);
        prop_assert_eq!(names, expected);
    }

    #[test]
    fn puts_and_deletes_equal_a_set(changes in vec(("[a-c/]{1,3}", any::<bool>()), 0..80)) {
        let (mut index, mut model) = (Index::new(), BTreeSet::new());
        for (key, put) in changes {
            if put {
                index.insert(key.as_str().into(), entry());
                model.insert(key);
            } else {
                index.remove(key.as_str());
                model.remove(&key);
            }
            let listed = paged(&index, "", None, 3);
            prop_assert_eq!(listed, model.iter().cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_successor_follows_all_that_the_prefix_begins(prefix in "\\PC{1,3}", rest in "\\PC{0,3}") {
        let key = format!("{prefix}{rest}");
        if let Some(next) = successor(&prefix) {
            prop_assert!(next > key);
        }
    }
}

#[test]
fn nothing_is_listed_on_a_page_of_none() {
    let keys = BTreeSet::from(["a".to_owned()]);
    assert_eq!(list(&index(&keys), "", None, None, 0), Page::default());
}
