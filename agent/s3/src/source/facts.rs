//! What the headers of an answer tell of an object.

use aws_smithy_runtime_api::http::Headers;
use datasync_endpoint::{
    ExtendedMetadata, NotExtended, ObjectProperties, PosixMetadata, Timestamp,
};

use super::handle::ETAG_MAX;
use crate::date::of_header;
use crate::object::USER_METADATA;
use crate::sums::Told;

/// All properties of an object together, in bytes: S3 takes 2 KB of user metadata, and 8 KB of headers.
const PROPERTIES_MAX: usize = 32 << 10;

/// An object as HEAD or GET tells of it.
#[derive(Debug)]
pub(super) struct Facts {
    /// Of the whole object, in bytes.
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    /// First and last byte of what is delivered, where it is not said to be the whole.
    pub(super) range: Option<(u64, u64)>,
    pub(super) told: Told,
    /// Without tags.
    pub(super) properties: ObjectProperties,
    /// Entries of user metadata that no header can carry.
    pub(super) lost_metadata: u64,
}

impl Facts {
    /// Of an answer's headers, or what is wrong with them, in words.
    pub(super) fn read(headers: &Headers) -> Result<Self, String> {
        let etag = headers.get("etag").filter(|etag| !etag.is_empty());
        let etag = etag.ok_or("no ETag")?;
        if etag.len() > ETAG_MAX {
            return Err(format!("an ETag of {} bytes", etag.len()));
        }
        let modified = headers.get("last-modified").and_then(of_header);
        let modified = modified.ok_or("no date of the object")?;
        let length = headers
            .get("content-length")
            .and_then(|text| text.parse().ok());
        let (range, size) = match headers.get("content-range") {
            None => (None, length.ok_or("no length of the object")?),
            Some(text) => {
                let range = content_range(text);
                let (first, last, size) = range.ok_or_else(|| format!("the range {text:?}"))?;
                (Some((first, last)), size)
            }
        };
        let kind = headers.get("x-amz-checksum-type").map(Into::into);
        let lost = headers.get("x-amz-missing-meta");
        Ok(Self {
            size,
            etag: etag.to_owned(),
            modified,
            range,
            told: Told::new(|proof| headers.get(proof.header()), kind.as_ref()),
            properties: properties(headers)?,
            lost_metadata: lost.map_or(Ok(0), str::parse).unwrap_or(1),
        })
    }

    pub(super) fn posix(&self) -> PosixMetadata {
        let pairs = self.properties.user_metadata.iter();
        PosixMetadata::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// List and attributes.
    pub(super) fn extended(&self) -> Result<ExtendedMetadata, NotExtended> {
        let pairs = self.properties.user_metadata.iter();
        ExtendedMetadata::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// `bytes a-b/size`
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last < size).then_some((first, last, size))
}

fn properties(headers: &Headers) -> Result<ObjectProperties, String> {
    let text = |name: &str| {
        let value = headers.get(name).filter(|value| !value.is_empty());
        value.map(str::to_owned)
    };
    let mut user_metadata: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let name = name.strip_prefix(USER_METADATA)?.to_owned();
            Some((name, value.to_owned()))
        })
        .collect();
    user_metadata.sort_unstable();
    let properties = ObjectProperties {
        user_metadata,
        content_type: text("content-type"),
        content_encoding: text("content-encoding"),
        content_disposition: text("content-disposition"),
        content_language: text("content-language"),
        cache_control: text("cache-control"),
        expires: text("expires"),
        website_redirect: text("x-amz-website-redirect-location"),
        tags: Vec::new(),
    };
    let pairs = properties.user_metadata.iter();
    let of_user: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
    let texts = [
        &properties.content_type,
        &properties.content_encoding,
        &properties.content_disposition,
        &properties.content_language,
        &properties.cache_control,
        &properties.expires,
        &properties.website_redirect,
    ];
    let of_system: usize = texts.into_iter().flatten().map(String::len).sum();
    if of_user + of_system > PROPERTIES_MAX {
        return Err(format!("metadata of {} bytes", of_user + of_system));
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(more: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        for (name, value) in [("etag", "\"e\""), ("last-modified", date)] {
            headers.insert(name, value);
        }
        for (name, value) in more {
            headers.insert(*name, *value);
        }
        headers
    }

    #[test]
    fn headers_tell_size_range_and_metadata() {
        let facts = Facts::read(&headers(&[
            ("content-length", "3"),
            ("content-range", "bytes 2-4/9"),
            ("x-amz-meta-Colour", "blue"),
            ("x-amz-meta-file-owner", "7"),
            ("content-type", "text/plain"),
            ("x-amz-missing-meta", "2"),
        ]))
        .unwrap();
        assert_eq!((facts.size, facts.range), (9, Some((2, 4))));
        assert_eq!(facts.modified.seconds, 1_445_412_480);
        assert_eq!(facts.posix().owner, Some(7));
        assert_eq!(facts.properties.content_type.as_deref(), Some("text/plain"));
        let colour = ("colour".to_owned(), "blue".to_owned());
        assert_eq!(facts.properties.user_metadata.first(), Some(&colour));
        assert_eq!(facts.lost_metadata, 2);
    }

    #[test]
    fn nonsense_is_refused() {
        for more in [
            &[("content-range", "bytes 4-2/9")][..],
            &[("content-range", "bytes 2-9/9")],
            &[("content-range", "x")],
            &[("etag", "")],
            &[],
        ] {
            assert!(Facts::read(&headers(more)).is_err(), "{more:?}");
        }
    }
}
