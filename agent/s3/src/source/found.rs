//! A page of a listing as the entries of a directory. Pure.

use super::handle::{ETAG_MAX, Form, Item};
use super::names::name_of;
use crate::listing::{PAGE_MAX, RawPage, UNFINISHED, decoded, listed};

/// Longer continuation tokens are refused, in bytes.
const TOKEN_MAX: usize = 8 << 10;

/// One entry as the listing tells it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An object that is no directory.
    Object(Vec<u8>, Item),
    /// The name and key of a directory.
    Directory(Vec<u8>, String),
    /// The rest of a key that is no path, and why.
    Refused(String, &'static str),
}

/// The entries of a page, and the token of the next; or what is wrong, in words.
pub(super) fn entries(
    raw: RawPage,
    prefix: &str,
    asked: Option<&str>,
) -> Result<(Vec<Found>, Option<String>), String> {
    if raw.objects.len() > PAGE_MAX || raw.prefixes.len() > PAGE_MAX {
        return Err(format!("more than the {PAGE_MAX} keys that were asked for"));
    }
    let mut found = Vec::with_capacity(raw.objects.len() + raw.prefixes.len());
    for object in raw.objects {
        let object = listed(object, raw.url_encoded, prefix)?;
        let rest = object.key.as_str();
        if rest.contains('/') {
            return Err(format!(
                "{rest:?}, though it was asked for up to the next slash"
            ));
        }
        if object.etag.len() > ETAG_MAX {
            return Err(format!("an ETag of {} bytes", object.etag.len()));
        }
        // The directory's own object.
        if rest.is_empty() && !prefix.is_empty() {
            continue;
        }
        let item = Item {
            form: Form::Object,
            size: object.size,
            modified: object.last_modified,
            etag: object.etag,
            key: format!("{prefix}{rest}"),
        };
        found.push(match name_of(rest) {
            Ok(name) => Found::Object(name, item),
            Err(why) => Found::Refused(rest.to_owned(), why),
        });
    }
    for written in raw.prefixes {
        found.push(directory(&written, raw.url_encoded, prefix)?);
    }
    let more = raw.is_truncated.ok_or(UNFINISHED)?;
    let next = raw.next.filter(|_| more);
    match &next {
        None if more => Err("an unfinished page that does not say how to go on".to_owned()),
        Some(token) if token.is_empty() || token.len() > TOKEN_MAX => {
            Err(format!("a continuation token of {} bytes", token.len()))
        }
        Some(token) if Some(token.as_str()) == asked => {
            Err("a page that leads to itself: reading on would not end".to_owned())
        }
        _ => Ok((found, next)),
    }
}

fn directory(written: &str, url_encoded: bool, prefix: &str) -> Result<Found, String> {
    let key = if url_encoded {
        decoded(written).ok_or_else(|| format!("{written:?}, which is not UTF-8"))?
    } else {
        written.into()
    };
    let rest = key.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    let rest = rest.ok_or_else(|| format!("the prefix {key:?}, which is outside of {prefix:?}"))?;
    let part = rest.strip_suffix('/').filter(|part| !part.contains('/'));
    let part = part.ok_or_else(|| format!("{key:?} as what keys begin with up to a slash"))?;
    Ok(match name_of(part) {
        Ok(name) => Found::Directory(name, key.into_owned()),
        Err(why) => Found::Refused(rest.to_owned(), why),
    })
}

/// The names of a directory's page, for the fuzz target of listings.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn listed_names(raw: RawPage, prefix: &str) -> Result<Vec<Vec<u8>>, String> {
    let (found, _) = entries(raw, prefix, None)?;
    let names = found.into_iter().filter_map(|found| match found {
        Found::Object(name, _) | Found::Directory(name, _) => Some(name),
        Found::Refused(..) => None,
    });
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::Timestamp;

    use super::*;
    use crate::listing::RawObject;

    fn page(keys: &[&str], prefixes: &[&str], next: Option<&str>) -> RawPage {
        let object = |key: &&str| RawObject {
            key: Some((*key).to_owned()),
            size: Some(1),
            etag: Some("\"e\"".to_owned()),
            modified: Some(Timestamp::default()),
            class: None,
        };
        RawPage {
            objects: keys.iter().map(object).collect(),
            prefixes: prefixes.iter().map(|text| (*text).to_owned()).collect(),
            is_truncated: Some(next.is_some()),
            next: next.map(str::to_owned),
            url_encoded: true,
        }
    }

    fn shown(found: &[Found]) -> Vec<String> {
        let show = |found: &Found| match found {
            Found::Object(name, item) => format!("o {} {}", name.escape_ascii(), item.key),
            Found::Directory(name, key) => format!("d {} {key}", name.escape_ascii()),
            Found::Refused(rest, _) => format!("r {rest}"),
        };
        found.iter().map(show).collect()
    }

    #[test]
    fn objects_directories_and_what_is_no_path_are_told_apart() {
        let raw = page(
            &["p/", "p/a+b", "p/..", "p/%00"],
            &["p/d/", "p//", "p/./", "p/e%2B/"],
            Some("t"),
        );
        let (found, next) = entries(raw, "p/", Some("s")).unwrap();
        assert_eq!(
            shown(&found),
            [
                "o a b p/a b",
                "r ..",
                "r \0",
                "d d p/d/",
                "r /",
                "r ./",
                "d e+ p/e+/"
            ]
        );
        assert_eq!(next.as_deref(), Some("t"));
        let (found, _) = entries(page(&["x"], &["/"], None), "", None).unwrap();
        assert_eq!(shown(&found), ["o x x", "r /"]);
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        let long = "t".repeat(TOKEN_MAX + 1);
        for (raw, says) in [
            (page(&["q/a"], &[], None), "outside"),
            (page(&["p/a/b"], &[], None), "next slash"),
            (page(&[], &["q/"], None), "outside"),
            (page(&[], &["p/"], None), "outside"),
            (page(&[], &["p/a"], None), "up to a slash"),
            (page(&[], &["p/a/b/"], None), "up to a slash"),
            (page(&[], &["p/%FF/"], None), "UTF-8"),
            (page(&[], &[], Some("asked")), "itself"),
            (page(&[], &[], Some(&long)), "token"),
        ] {
            let wrong = entries(raw, "p/", Some("asked")).unwrap_err();
            assert!(wrong.contains(says), "{wrong}");
        }
        let mut unfinished = page(&[], &[], Some("t"));
        unfinished.next = None;
        assert!(entries(unfinished, "p/", None).is_err());
    }
}
