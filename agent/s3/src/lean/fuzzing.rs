//! What the fuzz target `s3_listing` of `tests/fuzz` calls.

use super::page::read;
use crate::listing::{PAGE_MAX, page};
use crate::source::listed_names;

const PREFIXES: [&str; 2] = ["", "p/"];

/// The document of a store that answers ListObjectsV2: it is left to the SDK, refused, or a page of
/// bounded length whose keys rise, and whose names are names where it is taken for one of a directory. The first byte chooses the prefix that was asked for.
pub fn s3_listing(data: &[u8]) {
    let Some((prefix, document)) = data.split_first() else {
        return;
    };
    let prefix = PREFIXES[usize::from(prefix % 2)];
    let Some(raw) = read(document) else {
        return;
    };
    if let Some(again) = read(document) {
        let names = listed_names(again, prefix).unwrap_or_default();
        assert!(names.len() <= 2 * PAGE_MAX);
        let is_name = |name: &[u8]| !name.is_empty() && !name.contains(&0) && !name.contains(&b'/');
        assert!(names.iter().all(|name| is_name(name)));
    }
    let more = raw.is_truncated;
    let Ok(page) = page(raw, prefix, None) else {
        return;
    };
    assert!(page.objects.len() <= PAGE_MAX);
    assert!(page.objects.is_sorted_by(|one, next| one.key < next.key));
    assert_eq!(Some(page.more), more);
    assert!(!page.more || !page.objects.is_empty());
    for object in &page.objects {
        if let Ok(path) = object.key.path() {
            assert_eq!(path.key(object.key.is_directory()), object.key);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        let seeds = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/seeds/s3_listing"
        );
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::s3_listing(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}
