//! The destination's objects of the keys that a manifest lists. What lies between two of them is
//! skipped where a page does not reach from one to the other: there are no more pages than keys, and
//! no more than listing everything would take.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use datasync_endpoint::{Destination, EndpointError, ErrorKind, Key, ListPage};
use tokio::sync::mpsc;

use super::frozen::Frozen;
use crate::attempts::Attempts;
use crate::listing::Listed;
use crate::outcome::chain;

/// Keys that are read at a time.
const KEYS: usize = 1024;

/// Lists until the end of the manifest or until the receiver is gone.
pub(crate) async fn list_wanted<D: Destination>(
    destination: Arc<D>,
    attempts: Arc<Attempts>,
    manifest: PathBuf,
    after: Option<Key>,
    out: mpsc::Sender<Vec<Listed>>,
) {
    let mut frozen = Frozen::new(manifest, after);
    let mut wanted: VecDeque<Key> = VecDeque::new();
    loop {
        if wanted.is_empty() {
            match frozen.next(KEYS).await {
                Ok(keys) => wanted.extend(keys),
                Err(error) => {
                    let detail = chain(&error);
                    let error = EndpointError::new(ErrorKind::Invalid, "manifest", "", detail);
                    drop(out.send(vec![Listed::Broken(error)]).await);
                    return;
                }
            }
        }
        let Some(first) = wanted.front() else {
            drop(out.send(vec![Listed::End]).await);
            return;
        };
        let before = before(first);
        let page = match attempts.run(|| destination.list(before.as_ref())).await {
            Ok(page) => page,
            Err(error) => {
                drop(out.send(vec![Listed::Broken(error)]).await);
                return;
            }
        };
        if page.objects.is_empty() && page.more {
            let detail = "an empty page of the listing that is not its last";
            let error = EndpointError::new(ErrorKind::Protocol, "list", first.as_str(), detail);
            drop(out.send(vec![Listed::Broken(error)]).await);
            return;
        }
        let objects = picked(page, &mut wanted);
        if !objects.is_empty() && out.send(objects).await.is_err() {
            return;
        }
    }
}

/// The objects of a page that are wanted; what it decides is not wanted any more. The page begins
/// before the first wanted key.
fn picked(page: ListPage, wanted: &mut VecDeque<Key>) -> Vec<Listed> {
    let last = page.objects.last().map(|object| object.key.clone());
    let mut objects = page.objects.into_iter().peekable();
    let mut found = Vec::new();
    while let Some(key) = wanted.front() {
        let is_decided = !page.more || last.as_ref().is_some_and(|last| key <= last);
        if !is_decided {
            break;
        }
        while objects.next_if(|object| object.key < *key).is_some() {}
        found.extend(
            objects
                .next_if(|object| object.key == *key)
                .map(Listed::Object),
        );
        wanted.pop_front();
    }
    found
}

/// A key shortly before `key`, to list from: nearly nothing lies between. `None`: the beginning.
fn before(key: &Key) -> Option<Key> {
    let mut text = key.as_str().to_owned();
    let last = text.pop()?;
    if let Some(previous) = previous(last) {
        text.push(previous);
        text.push(char::MAX);
    }
    (!text.is_empty()).then(|| Key::from_listing(text))
}

/// The character before; none before those that XML or stores may not take.
fn previous(character: char) -> Option<char> {
    let code = u32::from(character);
    let code = if code == 0xE000 {
        0xD7FF
    } else {
        code.saturating_sub(1)
    };
    char::from_u32(code).filter(|previous| *previous >= ' ' && *previous != '\u{fffe}')
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::{ListedObject, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> Key {
        Key::from_listing(text.to_owned())
    }

    fn page(store: &[String], after: Option<&Key>, size: usize) -> ListPage {
        let rest: Vec<_> = store
            .iter()
            .filter(|name| after.is_none_or(|after| name.as_str() > after.as_str()))
            .collect();
        let object = |name: &&String| ListedObject {
            key: key(name),
            size: 0,
            etag: String::new(),
            last_modified: Timestamp::default(),
            storage_class: None,
        };
        ListPage {
            objects: rest.iter().take(size).map(object).collect(),
            more: rest.len() > size,
        }
    }

    proptest! {
        #[test]
        fn what_is_wanted_and_there_is_found_with_few_pages(
            store in proptest::collection::btree_set("[ab]{1,6}", 0..60),
            wanted in proptest::collection::btree_set("[ab]{1,6}", 0..30),
            size in 1usize..8,
        ) {
            let names: Vec<_> = store.iter().cloned().collect();
            let mut left: VecDeque<Key> = wanted.iter().map(|name| key(name)).collect();
            let (mut found, mut pages) = (Vec::new(), 0);
            while let Some(first) = left.front() {
                let before = before(first);
                let picked = picked(page(&names, before.as_ref(), size), &mut left);
                pages += 1;
                for listed in picked {
                    if let Listed::Object(object) = listed {
                        found.push(object.key.as_str().to_owned());
                    }
                }
                prop_assert!(pages <= wanted.len());
            }
            prop_assert_eq!(found, store.intersection(&wanted).cloned().collect::<Vec<_>>());
        }

        #[test]
        fn the_key_before_is_before(text in "\\PC{1,8}") {
            if let Some(before) = before(&key(&text)) {
                prop_assert!(before < key(&text));
            }
        }
    }
}
