//! A page of a listing, as S3 writes it. The SDK's reader of documents takes most of the CPU time of a
//! run over an unchanged tree.

use aws_smithy_types::date_time::{DateTime, Format};
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

use crate::listing::{PAGE_MAX, RawObject, RawPage, timestamp};

/// As deep as the documents are that are read here, with some room.
const DEPTH_MAX: usize = 8;

/// The elements that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    ListBucketResult,
    IsTruncated,
    EncodingType,
    Contents,
    CommonPrefixes,
    Prefix,
    NextContinuationToken,
    Key,
    Size,
    ETag,
    LastModified,
    StorageClass,
    Other,
}

impl Element {
    /// By the name without the prefix of its namespace.
    fn of(name: &[u8]) -> Self {
        match name {
            b"ListBucketResult" => Self::ListBucketResult,
            b"IsTruncated" => Self::IsTruncated,
            b"EncodingType" => Self::EncodingType,
            b"Contents" => Self::Contents,
            b"CommonPrefixes" => Self::CommonPrefixes,
            b"Prefix" => Self::Prefix,
            b"NextContinuationToken" => Self::NextContinuationToken,
            b"Key" => Self::Key,
            b"Size" => Self::Size,
            b"ETag" => Self::ETag,
            b"LastModified" => Self::LastModified,
            b"StorageClass" => Self::StorageClass,
            _ => Self::Other,
        }
    }
}

/// A page, if the document is one.
pub(super) fn read(document: &[u8]) -> Option<RawPage> {
    use Element::{
        CommonPrefixes, Contents, EncodingType, IsTruncated, ListBucketResult,
        NextContinuationToken, Prefix,
    };
    let mut reader = Reader::from_str(std::str::from_utf8(document).ok()?);
    reader.config_mut().expand_empty_elements = true;
    let mut page = RawPage::default();
    let mut object = RawObject::default();
    let mut open = Vec::with_capacity(DEPTH_MAX);
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let element = Element::of(start.local_name().as_ref());
                let fits = (element == ListBucketResult) == open.is_empty();
                if !fits || open.len() == DEPTH_MAX {
                    return None;
                }
                open.push(element);
                text.clear();
            }
            Event::Text(piece) => text.push_str(&piece.decode().ok()?),
            Event::CData(piece) => text.push_str(&piece.decode().ok()?),
            Event::GeneralRef(reference) => push_reference(&mut text, &reference)?,
            Event::End(_) => {
                match open.as_slice() {
                    [ListBucketResult] => return Some(page),
                    [_, Contents] => {
                        page.objects.push(std::mem::take(&mut object));
                        if page.objects.len() > PAGE_MAX {
                            return Some(page);
                        }
                    }
                    [_, CommonPrefixes, Prefix] => {
                        page.prefixes.push(std::mem::take(&mut text));
                        if page.prefixes.len() > PAGE_MAX {
                            return Some(page);
                        }
                    }
                    [_, NextContinuationToken] => page.next = Some(std::mem::take(&mut text)),
                    [_, Contents, member] => object.take(*member, &text)?,
                    [_, IsTruncated] => page.is_truncated = Some(text.parse().ok()?),
                    [_, EncodingType] => page.url_encoded = text == "url",
                    _ => {}
                }
                open.pop();
                text.clear();
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn push_reference(text: &mut String, reference: &BytesRef<'_>) -> Option<()> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        text.push(character);
    } else {
        text.push_str(resolve_predefined_entity(&reference.decode().ok()?)?);
    }
    Some(())
}

impl RawObject {
    /// `None` for a member that cannot be understood.
    fn take(&mut self, member: Element, text: &str) -> Option<()> {
        match member {
            Element::Key => self.key = Some(text.to_owned()),
            Element::ETag => self.etag = Some(text.to_owned()),
            Element::StorageClass => self.class = Some(text.to_owned()),
            Element::Size => self.size = Some(text.parse().ok()?),
            Element::LastModified => {
                let time = DateTime::from_str(text, Format::DateTimeWithOffset).ok()?;
                self.modified = Some(timestamp(&time));
            }
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::Timestamp;

    use super::*;

    fn result(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix/>\
             <KeyCount>1</KeyCount><EncodingType>url</EncodingType>\
             <IsTruncated>false</IsTruncated>{inside}</ListBucketResult>"
        )
    }

    #[test]
    fn members_are_read_with_their_entities() {
        let page = read(
            result(
                "<Contents>\n <Key>a&amp;b+&#x63;&#100;</Key>\n \
                 <LastModified>2026-11-26T08:37:17.250Z</LastModified>\
                 <ETag>&quot;d41d-2&quot;</ETag><Size>5497558138880</Size>\
                 <Owner><ID>1</ID><DisplayName/></Owner><StorageClass>GLACIER_IR</StorageClass>\
                 </Contents><Contents><Key><![CDATA[e]]></Key><ETag>x</ETag></Contents>\
                 <Contents><Key>f</Key><ETag/></Contents>",
            )
            .as_bytes(),
        )
        .unwrap();
        let first = RawObject {
            key: Some("a&b+cd".to_owned()),
            size: Some(5 << 40),
            etag: Some("\"d41d-2\"".to_owned()),
            modified: Some(Timestamp {
                seconds: 1_795_682_237,
                nanoseconds: 250_000_000,
            }),
            class: Some("GLACIER_IR".to_owned()),
        };
        let third = RawObject {
            key: Some("f".to_owned()),
            etag: Some(String::new()),
            ..RawObject::default()
        };
        let second = RawObject {
            key: Some("e".to_owned()),
            etag: Some("x".to_owned()),
            ..RawObject::default()
        };
        assert_eq!(page.objects, [first, second, third]);
        assert_eq!((page.is_truncated, page.url_encoded), (Some(false), true));
    }

    #[test]
    fn what_is_no_page_is_left_to_the_sdk() {
        let deep = format!("{}{}", "<a>".repeat(20), "</a>".repeat(20));
        for document in [
            "",
            "no document",
            "<Error><Code>SlowDown</Code></Error>",
            &result("")[..200],
            &result("<Contents><Size>many</Size></Contents>"),
            &result("<Contents><LastModified>now</LastModified></Contents>"),
            &result("<Contents><Key>&unknown;</Key></Contents>"),
            &result("<Contents><Key>a</Contents></Key>"),
            &result(&deep),
        ] {
            let page = read(document.as_bytes());
            assert!(page.is_none(), "{document}: {page:?}");
        }
        assert!(read(b"<ListBucketResult>\xff</ListBucketResult>").is_none());
    }
}
