//! Ordered listings: keys decoded, their order checked.

use std::borrow::Cow;
use std::cmp::Ordering;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::types::{EncodingType, Object};
use datasync_endpoint::{
    EndpointError, ErrorKind, Key, ListPage, ListedObject, OpenUpload, Timestamp, UploadId,
};
use percent_encoding::percent_decode_str;

use crate::calls::Operation;
use crate::destination::Store;
use crate::place::class_of;
use crate::requests::Wait;

/// The most keys of one answer ("ListObjectsV2").
pub(crate) const PAGE: i32 = 1000;
pub(crate) const PAGE_MAX: usize = PAGE as usize;
/// Pages of uploads of one key; each holds 1000.
const UPLOAD_PAGES_MAX: usize = 10;

/// Unknown is not the end: deletes and uploads of ours hang on it.
pub(crate) const UNFINISHED: &str = "a page that does not say whether it is the last";

/// A key as S3 writes it under `encoding-type=url`: `+` is a space, `%2B` a plus.
pub(crate) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Some(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let key = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(key.into_owned()))
}

fn key_text(text: &str, encoding: Option<&EncodingType>) -> Option<String> {
    match encoding {
        Some(EncodingType::Url) => decoded(text).map(Cow::into_owned),
        _ => Some(text.to_owned()),
    }
}

pub(crate) fn timestamp(time: &aws_smithy_types::DateTime) -> Timestamp {
    Timestamp {
        seconds: time.secs(),
        nanoseconds: time.subsec_nanos(),
    }
}

/// An object as a document tells of it: any member may be absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RawObject {
    /// As it is written: percent-encoded in a page that is.
    pub(crate) key: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) class: Option<String>,
}

/// A page as a document tells of it.
#[derive(Debug, Default)]
pub(crate) struct RawPage {
    pub(crate) objects: Vec<RawObject>,
    /// What keys begin with, up to the next `/`, where a listing is by directory; as keys are written.
    pub(crate) prefixes: Vec<String>,
    pub(crate) is_truncated: Option<bool>,
    /// Where the next page begins, in the store's own words.
    pub(crate) next: Option<String>,
    pub(crate) url_encoded: bool,
}

/// What is to be listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    /// Of the keys in the bucket.
    pub(crate) prefix: &'a str,
    /// Whether keys that go on after a `/` are listed as one prefix.
    pub(crate) by_directory: bool,
    pub(crate) start: Start<'a>,
    pub(crate) max_keys: i32,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    Beginning,
    /// After this key of the bucket.
    After(&'a str),
    /// Where the page before ended, as it said.
    Token(&'a str),
}

impl From<ListObjectsV2Output> for RawPage {
    fn from(output: ListObjectsV2Output) -> Self {
        Self {
            is_truncated: output.is_truncated(),
            url_encoded: output.encoding_type() == Some(&EncodingType::Url),
            next: output.next_continuation_token,
            prefixes: output
                .common_prefixes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|common| common.prefix)
                .collect(),
            objects: output
                .contents
                .unwrap_or_default()
                .into_iter()
                .map(RawObject::from)
                .collect(),
        }
    }
}

impl From<Object> for RawObject {
    fn from(object: Object) -> Self {
        Self {
            size: object.size.and_then(|size| u64::try_from(size).ok()),
            modified: object.last_modified.as_ref().map(timestamp),
            class: object.storage_class.map(|class| class.as_str().to_owned()),
            key: object.key,
            etag: object.e_tag,
        }
    }
}

/// An object of a listing, or what is wrong with it, in words.
pub(crate) fn listed(
    object: RawObject,
    url_encoded: bool,
    prefix: &str,
) -> Result<ListedObject, String> {
    let written = object.key.ok_or("an object without a key")?;
    let text = if url_encoded {
        decoded(&written)
            .ok_or_else(|| format!("the key {written:?}, which is not UTF-8"))?
            .into_owned()
    } else {
        written
    };
    let relative = text
        .strip_prefix(prefix)
        .ok_or_else(|| format!("the key {text:?}, which is outside of the prefix"))?;
    let (Some(size), Some(etag), Some(last_modified)) = (object.size, object.etag, object.modified)
    else {
        return Err(format!("{text:?} without a size, an ETag or a date"));
    };
    Ok(ListedObject {
        key: Key::from_listing(relative.to_owned()),
        size,
        etag,
        last_modified,
        storage_class: Some(class_of(object.class.as_deref())),
    })
}

/// Reads one page that was asked for with keys greater than `after`.
pub(crate) fn page(raw: RawPage, prefix: &str, after: Option<&Key>) -> Result<ListPage, String> {
    if raw.objects.len() > PAGE_MAX {
        return Err(format!(
            "more than the {PAGE_MAX} objects that were asked for"
        ));
    }
    let mut objects: Vec<ListedObject> = Vec::with_capacity(raw.objects.len());
    for object in raw.objects {
        let object = listed(object, raw.url_encoded, prefix)?;
        let before = objects.last().map(|object| &object.key).or(after);
        if let Some(before) = before
            && before.cmp(&object.key) != Ordering::Less
        {
            return Err(format!(
                "{:?} after {:?}: not in the byte order of keys, which this program needs",
                object.key.as_str(),
                before.as_str()
            ));
        }
        objects.push(object);
    }
    let more = raw.is_truncated.ok_or(UNFINISHED)?;
    if more && objects.is_empty() {
        return Err("an empty page that says that more follow".to_owned());
    }
    Ok(ListPage { objects, more })
}

impl Store {
    pub(crate) async fn list_page(&self, after: Option<&Key>) -> Result<ListPage, EndpointError> {
        let start = self.start(after);
        let wanted = Listing {
            prefix: &self.place.prefix,
            by_directory: false,
            start: start.as_deref().map_or(Start::Beginning, Start::After),
            max_keys: PAGE,
        };
        if let Some(lean) = &self.lean
            && let Some(page) = self.lean_page(lean, wanted).await?
        {
            return self.listed_page(page, after);
        }
        let target = self.place.target(&self.place.prefix);
        let request = self.listing(after).send();
        let output = self
            .requests
            .send(Wait::Answer, Operation::ListObjectsV2, &target, request)
            .await?;
        self.listed_page(output.into(), after)
    }

    /// A page of a listing that may be by directory.
    pub(crate) async fn raw_page(&self, wanted: Listing<'_>) -> Result<RawPage, EndpointError> {
        if let Some(lean) = &self.lean
            && let Some(page) = self.lean_page(lean, wanted).await?
        {
            return Ok(page);
        }
        let (after, token) = match wanted.start {
            Start::Beginning => (None, None),
            Start::After(key) => (Some(key), None),
            Start::Token(token) => (None, Some(token)),
        };
        let prefix = wanted.prefix;
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.place.bucket)
            .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
            .set_delimiter(wanted.by_directory.then(|| "/".to_owned()))
            .set_start_after(after.map(str::to_owned))
            .set_continuation_token(token.map(str::to_owned))
            .encoding_type(EncodingType::Url)
            .max_keys(wanted.max_keys)
            .send();
        let target = self.place.target(prefix);
        let output = self
            .requests
            .send(Wait::Answer, Operation::ListObjectsV2, &target, request)
            .await?;
        Ok(output.into())
    }

    /// Where a page begins.
    fn start(&self, after: Option<&Key>) -> Option<String> {
        let start = self.place.object_key(after?);
        (!start.is_empty()).then_some(start)
    }

    /// The request for a page, by the SDK.
    pub(crate) fn listing(&self, after: Option<&Key>) -> ListObjectsV2FluentBuilder {
        let prefix = &self.place.prefix;
        self.client
            .list_objects_v2()
            .bucket(&self.place.bucket)
            .set_prefix((!prefix.is_empty()).then(|| prefix.clone()))
            .set_start_after(self.start(after))
            .encoding_type(EncodingType::Url)
            .max_keys(PAGE)
    }

    /// The page in an answer.
    pub(crate) fn listed_page(
        &self,
        raw: RawPage,
        after: Option<&Key>,
    ) -> Result<ListPage, EndpointError> {
        let prefix = &self.place.prefix;
        page(raw, prefix, after).map_err(|wrong| {
            let detail = format!("the store lists {wrong}");
            let operation = Operation::ListObjectsV2.name();
            let target = self.place.target(prefix);
            EndpointError::new(ErrorKind::Protocol, operation, target, detail)
        })
    }

    pub(crate) async fn uploads_of(
        &self,
        object_key: &str,
    ) -> Result<Vec<OpenUpload>, EndpointError> {
        let operation = Operation::ListMultipartUploads;
        let target = self.place.target(object_key);
        let mut found = Vec::new();
        let mut markers = (None, None);
        for _ in 0..UPLOAD_PAGES_MAX {
            let request = self
                .client
                .list_multipart_uploads()
                .bucket(&self.place.bucket)
                .prefix(object_key)
                .encoding_type(EncodingType::Url)
                .set_key_marker(markers.0.take())
                .set_upload_id_marker(markers.1.take())
                .send();
            let output = self
                .requests
                .send(Wait::Answer, operation, &target, request)
                .await?;
            let mut beyond = false;
            for upload in output.uploads() {
                let key = upload
                    .key()
                    .and_then(|key| key_text(key, output.encoding_type()));
                match (key, upload.upload_id(), upload.initiated()) {
                    (Some(key), Some(id), Some(initiated)) if key == object_key => {
                        found.push(OpenUpload {
                            id: UploadId(id.to_owned()),
                            initiated: timestamp(initiated),
                        });
                    }
                    // The exact key sorts before every other with this prefix.
                    _ => beyond = true,
                }
            }
            let more = output.is_truncated().ok_or_else(|| {
                let detail = format!("the store lists {UNFINISHED}");
                EndpointError::new(ErrorKind::Protocol, operation.name(), &target, detail)
            })?;
            if beyond || !more {
                return Ok(found);
            }
            let next_key = output.next_key_marker();
            markers.0 = next_key.and_then(|key| key_text(key, output.encoding_type()));
            markers.1 = output.next_upload_id_marker().map(str::to_owned);
        }
        let detail = format!("more than {UPLOAD_PAGES_MAX} pages of open uploads of one key");
        Err(EndpointError::new(
            ErrorKind::Protocol,
            operation.name(),
            target,
            detail,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::DateTime;

    fn output(keys: &[&str], more: bool) -> RawPage {
        let object = |key: &&str| {
            Object::builder()
                .key(*key)
                .size(1)
                .e_tag("\"e\"")
                .last_modified(DateTime::from_secs(1))
                .build()
        };
        ListObjectsV2Output::builder()
            .set_contents(Some(keys.iter().map(object).collect()))
            .is_truncated(more)
            .encoding_type(EncodingType::Url)
            .build()
            .into()
    }

    fn keys(page: &ListPage) -> Vec<&str> {
        page.objects
            .iter()
            .map(|object| object.key.as_str())
            .collect()
    }

    #[test]
    fn keys_are_decoded_and_relative() {
        let listed = output(&["p/", "p/%01", "p/a+b%2Bc", "p/d%25", "p/%C3%A9"], true);
        let page = page(listed, "p/", None).unwrap();
        assert_eq!(keys(&page), ["", "\u{1}", "a b+c", "d%", "é"]);
        assert!(page.more);
    }

    #[test]
    fn disorder_and_nonsense_are_refused() {
        let after = Key::from_listing("m".to_owned());
        for (keys, more, says) in [
            (&["p/b", "p/a"][..], false, "byte order"),
            (&["p/b", "p/b"], false, "byte order"),
            (&["p/%FF"], false, "not UTF-8"),
            (&["q"], false, "outside of the prefix"),
            (&[], true, "empty page"),
        ] {
            let wrong = page(output(keys, more), "p/", None).unwrap_err();
            assert!(wrong.contains(says), "{wrong}");
        }
        let wrong = page(output(&["p/m"], false), "p/", Some(&after)).unwrap_err();
        assert!(wrong.contains("byte order"), "{wrong}");
        assert!(page(output(&["p/n"], false), "p/", Some(&after)).is_ok());
    }
}
