//! Listings as XML: `ListObjectsV2` and the older `ListObjects`, delimiter included.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Second;
use crate::objects::Objects;
use crate::query::Target;

const KEYS_MAX: usize = 1000;
/// What `encoding-type=url` leaves as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'/');

#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    /// Key, size, `ETag`, when it was written.
    objects: Vec<(String, u64, String, Second)>,
    prefixes: Vec<String>,
    /// The last key or common prefix, if more follows.
    next: Option<String>,
}

fn page(
    objects: &Objects,
    bucket: &str,
    prefix: &str,
    delimiter: &str,
    after: &str,
    max: usize,
) -> Page {
    let mut page = Page::default();
    let mut after = after.to_owned();
    loop {
        let mut skip_to = None;
        for (key, object) in objects.after(bucket, prefix, &after) {
            if page.objects.len() + page.prefixes.len() == max {
                page.next = Some(after);
                return page;
            }
            let rest = key.strip_prefix(prefix).unwrap_or(key);
            if let Some((first, _)) = rest.split_once(delimiter).filter(|_| !delimiter.is_empty()) {
                let common = format!("{prefix}{first}{delimiter}");
                // Nothing sorts after every key of a prefix but a character beyond Unicode's last.
                skip_to = Some(format!("{common}\u{10FFFF}"));
                page.prefixes.push(common);
                break;
            }
            let (size, etag) = (object.size, object.etag.to_string());
            page.objects
                .push((key.to_owned(), size, etag, object.modified));
            key.clone_into(&mut after);
        }
        match skip_to {
            Some(next) => after = next,
            None => return page,
        }
    }
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Answers a listing of the target's bucket.
pub(crate) fn list(objects: &Objects, target: &Target) -> String {
    let parameter = |name| target.parameter(name).unwrap_or("");
    let second_version = parameter("list-type") == "2";
    let (prefix, delimiter) = (parameter("prefix"), parameter("delimiter"));
    let after = if second_version {
        parameter("continuation-token").max(parameter("start-after"))
    } else {
        parameter("marker")
    };
    let max = parameter("max-keys")
        .parse()
        .unwrap_or(KEYS_MAX)
        .min(KEYS_MAX);
    let page = page(objects, &target.bucket, prefix, delimiter, after, max);
    let encode = |text: &str| {
        if parameter("encoding-type") == "url" {
            utf8_percent_encode(text, KEPT).to_string()
        } else {
            escape(text)
        }
    };
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
    // Writing to a String cannot fail.
    write!(
        xml,
        "<Name>{}</Name><Prefix>{}</Prefix><MaxKeys>{max}</MaxKeys><IsTruncated>{}</IsTruncated>",
        target.bucket,
        encode(prefix),
        page.next.is_some(),
    )
    .ok();
    if parameter("encoding-type") == "url" {
        xml.push_str("<EncodingType>url</EncodingType>");
    }
    if let Some(next) = &page.next {
        let element = if second_version {
            "NextContinuationToken"
        } else {
            "NextMarker"
        };
        // A continuation token comes back as it was given: it is not under encoding-type.
        let next = if second_version {
            escape(next)
        } else {
            encode(next)
        };
        write!(xml, "<{element}>{next}</{element}>").ok();
    }
    for (key, size, etag, modified) in &page.objects {
        write!(
            xml,
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
             <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            encode(key),
            modified.xml(),
            escape(etag),
        )
        .ok();
    }
    for common in &page.prefixes {
        let common = encode(common);
        write!(
            xml,
            "<CommonPrefixes><Prefix>{common}</Prefix></CommonPrefixes>"
        )
        .ok();
    }
    xml.push_str("</ListBucketResult>");
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;
    use crate::objects::in_one_piece;
    use crate::uploads::Part;

    fn filled(keys: &[&str]) -> Objects {
        let mut objects = Objects::default();
        objects.create_bucket("bucket");
        for key in keys {
            let received = Part {
                size: 1,
                crc64: None,
            };
            let object = in_one_piece(received, Second::now(), Metadata::default());
            objects.put("bucket", key, object);
        }
        objects
    }

    fn names(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|(key, ..)| key.as_str()).collect()
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let objects = filled(&["a", "b", "c", "d", "e"]);
        let first = page(&objects, "bucket", "", "", "", 2);
        assert_eq!(names(&first), ["a", "b"]);
        let second = page(&objects, "bucket", "", "", &first.next.unwrap(), 3);
        assert_eq!(names(&second), ["c", "d", "e"]);
        assert_eq!(second.next, None);
    }

    #[test]
    fn a_delimiter_gathers_what_is_below() {
        let objects = filled(&["a", "d/", "d/1", "d/e/2", "z"]);
        let top = page(&objects, "bucket", "", "/", "", 1000);
        assert_eq!(names(&top), ["a", "z"]);
        assert_eq!(top.prefixes, ["d/"]);
        let below = page(&objects, "bucket", "d/", "/", "", 1000);
        assert_eq!(names(&below), ["d/", "d/1"]);
        assert_eq!(below.prefixes, ["d/e/"]);
    }

    #[test]
    fn odd_keys_survive_url_encoding() {
        let objects = filled(&["a\n&<%+"]);
        let uri = "/bucket?list-type=2&encoding-type=url".parse().unwrap();
        let xml = list(&objects, &Target::of(&uri));
        assert!(xml.contains("<Key>a%0A%26%3C%25%2B</Key>"), "{xml}");
    }
}
