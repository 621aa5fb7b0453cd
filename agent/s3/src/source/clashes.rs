//! Objects that have the name of a directory: a file system has one entry of a name. Pure.

use std::collections::HashSet;

use super::found::Found;

/// Refuses the objects that have the name of a directory of the same page. Answers with the places of
/// those whose directory, if there is one, comes on a later page.
pub(super) fn apart(mut found: Vec<Found>, prefix: &str, more: bool) -> (Vec<Found>, Vec<usize>) {
    let directories: HashSet<&[u8]> = found.iter().filter_map(directory_name).collect();
    let last = found.iter().map(|found| rest_of(found, prefix)).max();
    let last = last.unwrap_or_default().to_owned();
    let (mut taken, mut undecided) = (Vec::new(), Vec::new());
    for (at, one) in found.iter().enumerate() {
        let Found::Object(name, item) = one else {
            continue;
        };
        let rest = item.key.get(prefix.len()..).unwrap_or_default();
        if directories.contains(&name[..]) {
            taken.push(at);
        } else if more && last < format!("{rest}/") {
            undecided.push(at);
        }
    }
    for at in taken {
        refuse(&mut found, at, prefix);
    }
    (found, undecided)
}

/// An object whose name a directory has.
pub(super) fn refuse(found: &mut [Found], at: usize, prefix: &str) {
    if let Some(one) = found.get_mut(at)
        && let Found::Object(_, item) = one
    {
        let rest = item.key.get(prefix.len()..).unwrap_or_default();
        *one = Found::Refused(rest.to_owned(), "other keys go on after it with a slash");
    }
}

fn directory_name(found: &Found) -> Option<&[u8]> {
    match found {
        Found::Directory(name, _) => Some(name),
        Found::Object(..) | Found::Refused(..) => None,
    }
}

/// The key after the directory's.
fn rest_of<'a>(found: &'a Found, prefix: &str) -> &'a str {
    match found {
        Found::Object(_, item) => item.key.get(prefix.len()..).unwrap_or_default(),
        Found::Directory(_, key) => key.get(prefix.len()..).unwrap_or_default(),
        Found::Refused(rest, _) => rest,
    }
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::Timestamp;

    use super::*;
    use crate::source::handle::{Form, Item};

    fn found(prefix: &str, rests: &[&str]) -> Vec<Found> {
        let one = |rest: &&str| {
            let key = format!("{prefix}{rest}");
            match rest.strip_suffix('/') {
                Some(name) => Found::Directory(name.into(), key),
                None => {
                    let item = Item {
                        form: Form::Object,
                        size: 1,
                        modified: Timestamp::default(),
                        etag: String::new(),
                        key,
                    };
                    Found::Object(rest.as_bytes().to_vec(), item)
                }
            }
        };
        rests.iter().map(one).collect()
    }

    fn refused(found: &[Found]) -> Vec<&str> {
        let mut refused = Vec::new();
        for one in found {
            if let Found::Refused(rest, _) = one {
                refused.push(rest.as_str());
            }
        }
        refused
    }

    #[test]
    fn the_directory_is_copied_and_the_object_of_its_name_is_refused() {
        let rests = ["a", "a-b", "a.txt", "b", "c", "a/", "c/"];
        let (page, undecided) = apart(found("p/", &rests), "p/", false);
        assert_eq!(refused(&page), ["a", "c"]);
        assert_eq!(undecided, []);
        let (page, _) = apart(found("", &["a", "a0", "b/"]), "", false);
        assert_eq!(refused(&page), [""; 0]);
    }

    #[test]
    fn whose_directory_may_be_on_the_next_page_is_to_be_asked_about() {
        for (rests, more, expected) in [
            (&["a", "a-b"][..], true, &[0, 1][..]),
            (&["a", "a-b"], false, &[]),
            (&["a", "a-b", "b"], true, &[2]),
            (&["a", "a0"], true, &[1]),
            (&["a", "a+", "a+b/"], true, &[0]),
            (&[], true, &[]),
        ] {
            let (mut page, undecided) = apart(found("p/", rests), "p/", more);
            assert_eq!(undecided, expected, "{rests:?}");
            if let [at, ..] = undecided[..] {
                refuse(&mut page, at, "p/");
                assert_eq!(refused(&page), [rests[at]]);
            }
        }
    }
}
