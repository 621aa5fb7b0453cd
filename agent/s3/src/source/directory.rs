//! A directory, page by page: ListObjectsV2 up to the next slash.

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{DirCursor, DirEntry, DirPage, EndpointError, ErrorKind, Key, Node};
use futures::{StreamExt, TryStreamExt, stream};

use super::handle::{ETAG_MAX, Form, Item};
use super::names::name_of;
use super::{S3Source, Shape};
use crate::calls::Operation;
use crate::listing::{Listing, PAGE, PAGE_MAX, RawPage, Start, UNFINISHED, decoded, listed};

/// Longer continuation tokens are refused, in bytes.
const TOKEN_MAX: usize = 8 << 10;
/// Objects of one page that are asked about at once.
const HEADS: usize = 32;
/// Where a directory ends that cannot be had whole.
const END: DirCursor = DirCursor(Bytes::from_static(b"\0"));

/// One entry as the listing tells it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// An object that is no directory.
    Object(Vec<u8>, Item),
    /// The name and key of a directory.
    Directory(Vec<u8>, String),
    /// The rest of a key that is no path, and why.
    Refused(String, &'static str),
}

/// The entries of a page, and the token of the next; or what is wrong, in words.
fn entries(
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

impl S3Source {
    pub(super) async fn page(
        &self,
        directory: &Item,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        if cursor.as_ref() == Some(&END) {
            return Err(self.burdened(directory));
        }
        let token = cursor.as_ref().map(|cursor| std::str::from_utf8(&cursor.0));
        let token = token.transpose().map_err(|_| {
            let detail = "a place in a directory that no store told";
            self.error(
                ErrorKind::BadCookie,
                Operation::ListObjectsV2,
                &directory.key,
                detail,
            )
        })?;
        let raw = self.list(&directory.key, token, PAGE).await?;
        let (found, next) = entries(raw, &directory.key, token).map_err(|wrong| {
            let detail = format!("the store lists {wrong}");
            self.error(
                ErrorKind::Protocol,
                Operation::ListObjectsV2,
                &directory.key,
                detail,
            )
        })?;
        let entries: Vec<Option<DirEntry>> = stream::iter(found)
            .map(|found| self.entry(&directory.key, found))
            .buffered(HEADS)
            .try_collect()
            .await?;
        let is_burdened = directory.form == Form::Burdened;
        let next = match next {
            Some(token) => Some(DirCursor(token.into())),
            None => is_burdened.then_some(END),
        };
        Ok(DirPage {
            entries: entries.into_iter().flatten().collect(),
            next,
        })
    }

    pub(super) async fn list(
        &self,
        prefix: &str,
        token: Option<&str>,
        max_keys: i32,
    ) -> Result<RawPage, EndpointError> {
        let wanted = Listing {
            prefix,
            by_directory: true,
            start: token.map_or(Start::Beginning, Start::Token),
            max_keys,
        };
        self.store.raw_page(wanted).await
    }

    /// An entry with what HEAD tells of it, where that is needed; `None` if it is gone by now. What may
    /// pass is an error of the page, so that it is asked for again.
    async fn entry(&self, prefix: &str, found: Found) -> Result<Option<DirEntry>, EndpointError> {
        // The semaphore is never closed.
        let _turn = self.heads.acquire().await.ok();
        let (name, asked) = match found {
            Found::Refused(rest, why) => return Ok(Some(self.refused(prefix, &rest, why))),
            Found::Object(name, item) => (name, self.listed_node(item).await),
            Found::Directory(name, key) => (name, self.directory(key).await.map(Some)),
        };
        let node = match asked {
            Ok(None) => return Ok(None),
            Ok(Some(node)) => Ok(node),
            Err(error) if error.kind.is_transient() => return Err(error),
            Err(error) => Err(Arc::new(error)),
        };
        let name = name.into();
        Ok(Some(DirEntry { name, node }))
    }

    async fn listed_node(&self, item: Item) -> Result<Option<Node>, EndpointError> {
        if let Shape::Objects { .. } = self.shape {
            return Ok(Some(self.object_node(&item)));
        }
        let Some(facts) = self.head(&item.key, None).await? else {
            return Ok(None);
        };
        if facts.etag == item.etag && facts.size != item.size {
            let detail = format!("listed with {} bytes, HEAD tells {}", item.size, facts.size);
            let operation = Operation::HeadObject;
            return Err(self.error(ErrorKind::Protocol, operation, &item.key, detail));
        }
        Ok(Some(self.file_node(&item.key, &facts, None)))
    }

    fn refused(&self, prefix: &str, rest: &str, why: &str) -> DirEntry {
        let key = Key::from_listing(format!("{prefix}{rest}"));
        let what = if rest.ends_with('/') {
            "nothing whose key begins so is copied"
        } else {
            "the object is not copied"
        };
        let detail = format!("{why}: {what}; give it another key");
        let error = self.error(
            ErrorKind::InvalidName,
            Operation::ListObjectsV2,
            key.as_str(),
            detail,
        );
        DirEntry {
            name: Bytes::copy_from_slice(rest.as_bytes()),
            node: Err(Arc::new(error)),
        }
    }

    fn burdened(&self, directory: &Item) -> EndpointError {
        let detail = format!(
            "the object of a directory has {} bytes, which no directory can have: it is not copied, \
             and what lies below it is; give the object a key without / at its end",
            directory.size
        );
        let operation = Operation::ListObjectsV2;
        self.error(ErrorKind::InvalidName, operation, &directory.key, detail)
    }
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
