//! Objects without a source: which of them `PreserveDeletedFiles=REMOVE` is about.

use datasync_endpoint::{EntryPath, Key};
use datasync_model::{Options, PreserveDeletedFiles, Scope};

use crate::merge::Shadow;

/// What an object is that no entry of the source has the key of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Not the key of any path: nobody's business.
    Strange,
    /// It stays.
    Kept,
    /// It is to go; the path that it would have at the source.
    Candidate(EntryPath),
}

/// Judges an object by its key. `shadow` knows what could not be read; it is asked with keys in order.
pub(crate) fn judge(key: &Key, options: &Options, scope: &Scope, shadow: &mut Shadow) -> Extra {
    if options.preserve_deleted_files != PreserveDeletedFiles::Remove {
        return Extra::Kept;
    }
    let Ok(path) = key.path() else {
        return Extra::Strange;
    };
    if path == EntryPath::ROOT || !scope.contains(&path.to_absolute()) || shadow.covers(key) {
        return Extra::Kept;
    }
    Extra::Candidate(path)
}

#[cfg(test)]
mod tests {
    use datasync_model::{Excludes, Includes, Pair, TaskMode};

    use super::*;

    fn key(text: &str) -> Key {
        Key::from_listing(text.to_owned())
    }

    #[test]
    fn only_what_has_a_path_in_scope_and_out_of_the_shadow_is_to_go() {
        let pair = Pair {
            object_to_object: false,
            storage_class: None,
        };
        let mut options = Options::defaults(TaskMode::Basic, pair);
        let excludes: Excludes = Excludes::parse("/out").unwrap();
        let scope = Scope::new(Includes::default(), excludes);
        let mut shadow = Shadow::default();
        let gone = key("a").path().unwrap();
        assert_eq!(judge(&key("a"), &options, &scope, &mut shadow), Extra::Kept);
        options.preserve_deleted_files = PreserveDeletedFiles::Remove;
        for (text, extra) in [
            ("", Extra::Kept),
            ("a", Extra::Candidate(gone)),
            ("a//b", Extra::Strange),
            ("dark/b", Extra::Kept),
            ("out/b", Extra::Kept),
        ] {
            if text > "b" {
                shadow.cast(key("dark/"));
            }
            let judged = judge(&key(text), &options, &scope, &mut shadow);
            assert_eq!(judged, extra, "{text}");
        }
    }
}
