//! ListObjectsV2 and ListObjects.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    self, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::buckets::owner;
use super::{Store, signed, timestamp};
use crate::index::{Entry, Item, Page, list};

/// Items of one page, whatever the client asks for.
const KEYS_MAX: i32 = 1000;

/// What S3 leaves alone under `encoding-type=url`; a space becomes `+`.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b' ');

/// How names go into the reply.
#[derive(Clone, Copy)]
pub(crate) struct Encoding {
    url: bool,
}

impl Encoding {
    pub(crate) fn of(asked: Option<&dto::EncodingType>) -> S3Result<Self> {
        match asked.map(dto::EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some("url") => Ok(Self { url: true }),
            Some(_) => Err(s3_error!(
                InvalidArgument,
                "Invalid Encoding Method specified in Request"
            )),
        }
    }

    pub(crate) fn name(self, name: &str) -> String {
        if self.url {
            utf8_percent_encode(name, PLAIN)
                .to_string()
                .replace(' ', "+")
        } else {
            name.to_owned()
        }
    }

    pub(crate) fn option(self, name: Option<&str>) -> Option<String> {
        name.map(|name| self.name(name))
    }

    pub(crate) fn reply(self) -> Option<dto::EncodingType> {
        self.url
            .then(|| dto::EncodingType::from_static(dto::EncodingType::URL))
    }
}

pub(crate) fn page_size(asked: Option<i32>) -> S3Result<usize> {
    let size = asked.unwrap_or(KEYS_MAX).min(KEYS_MAX);
    usize::try_from(size).map_err(|_| {
        s3_error!(
            InvalidArgument,
            "Argument maxKeys must be an integer between 0 and 2147483647"
        )
    })
}

/// Opaque to clients: the name of the last item of the page.
fn token(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

fn from_token(token: &str) -> S3Result<String> {
    let raw = URL_SAFE_NO_PAD.decode(token).ok();
    raw.and_then(|raw| String::from_utf8(raw).ok())
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "The continuation token provided is incorrect"
            )
        })
}

/// The two lists of a reply.
struct Rows {
    contents: Vec<dto::Object>,
    common_prefixes: Vec<dto::CommonPrefix>,
}

fn rows(page: Page, encoding: Encoding, with_owner: bool) -> Rows {
    let mut rows = Rows {
        contents: Vec::new(),
        common_prefixes: Vec::new(),
    };
    for item in page.items {
        match item {
            Item::Object(key, entry) => {
                rows.contents
                    .push(object(encoding.name(&key), &entry, with_owner));
            }
            Item::CommonPrefix(prefix) => rows.common_prefixes.push(dto::CommonPrefix {
                prefix: Some(encoding.name(&prefix)),
            }),
        }
    }
    rows
}

fn object(key: String, entry: &Entry, with_owner: bool) -> dto::Object {
    let class = entry.storage_class.as_deref().unwrap_or("STANDARD");
    let algorithm = entry
        .checksum
        .map(|(algorithm, _)| dto::ChecksumAlgorithm::from_static(algorithm.name()));
    dto::Object {
        checksum_algorithm: algorithm.map(|algorithm| vec![algorithm]),
        checksum_type: entry
            .checksum
            .map(|(_, kind)| dto::ChecksumType::from_static(kind.name())),
        e_tag: Some(dto::ETag::Strong(entry.etag.to_string())),
        key: Some(key),
        last_modified: Some(timestamp(entry.modified)),
        owner: with_owner.then(owner),
        restore_status: None,
        size: Some(signed(entry.size)),
        storage_class: Some(dto::ObjectStorageClass::from(class.to_owned())),
    }
}

impl Store {
    pub(crate) fn list_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let max = page_size(input.max_keys)?;
        let continued = input
            .continuation_token
            .as_deref()
            .map(from_token)
            .transpose()?;
        let after = continued.as_deref().or(input.start_after.as_deref());
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let page = list(
            &bucket.index(),
            prefix,
            input.delimiter.as_deref(),
            after,
            max,
        );
        let truncated = page.truncated;
        let next = page
            .items
            .last()
            .filter(|_| truncated)
            .map(|item| token(item.name()));
        let count = page.items.len();
        let rows = rows(page, encoding, input.fetch_owner.unwrap_or_default());
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoding.name(prefix)),
            max_keys: i32::try_from(max).ok(),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(truncated),
            next_continuation_token: next,
            contents: Some(rows.contents),
            common_prefixes: Some(rows.common_prefixes),
            delimiter: encoding.option(input.delimiter.as_deref()),
            encoding_type: encoding.reply(),
            start_after: encoding.option(input.start_after.as_deref()),
            request_charged: None,
        }))
    }

    pub(crate) fn list_v1(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let max = page_size(input.max_keys)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let marker = input.marker.as_deref();
        let page = list(
            &bucket.index(),
            prefix,
            input.delimiter.as_deref(),
            marker,
            max,
        );
        let truncated = page.truncated;
        // Only listings with a delimiter carry NextMarker; others go on from the last key.
        let next = page
            .items
            .last()
            .filter(|_| truncated && input.delimiter.is_some());
        let next = next.map(|item| encoding.name(item.name()));
        let rows = rows(page, encoding, true);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoding.name(prefix)),
            marker: Some(encoding.name(marker.unwrap_or_default())),
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(truncated),
            contents: Some(rows.contents),
            common_prefixes: Some(rows.common_prefixes),
            delimiter: encoding.option(input.delimiter.as_deref()),
            next_marker: next,
            encoding_type: encoding.reply(),
            request_charged: None,
        }))
    }
}
