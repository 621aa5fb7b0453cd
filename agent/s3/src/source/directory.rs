//! A directory, page by page: ListObjectsV2 up to the next slash.

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{DirCursor, DirEntry, DirPage, EndpointError, ErrorKind, Key, Node};
use futures::{StreamExt, TryStreamExt, stream};

use super::clashes::{apart, refuse};
use super::found::{Found, entries};
use super::handle::{Form, Item};
use super::{S3Source, Shape};
use crate::calls::Operation;
use crate::listing::{Listing, PAGE, RawPage, Start};

/// Objects of one page that are asked about at once.
const HEADS: usize = 32;
/// Where a directory ends that cannot be had whole.
const END: DirCursor = DirCursor(Bytes::from_static(b"\0"));

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
        let found = match self.shape {
            Shape::Objects { .. } => found,
            Shape::Files => {
                self.told_apart(&directory.key, found, next.is_some())
                    .await?
            }
        };
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

    /// A file system has one entry of a name: where an object and a directory have the same one, the
    /// directory is copied. Which objects those are is seen in the page, but for those whose directory
    /// would be listed in the next one.
    async fn told_apart(
        &self,
        prefix: &str,
        found: Vec<Found>,
        more: bool,
    ) -> Result<Vec<Found>, EndpointError> {
        let (mut found, undecided) = apart(found, prefix, more);
        for at in undecided {
            let Some(Found::Object(_, item)) = found.get(at) else {
                continue;
            };
            let below = format!("{}/", item.key);
            let raw = self.list(&below, None, 1).await?;
            if !raw.objects.is_empty() || !raw.prefixes.is_empty() {
                refuse(&mut found, at, prefix);
            }
        }
        Ok(found)
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
