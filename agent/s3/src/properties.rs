//! Properties of an object that is a copy of another object.

use std::collections::HashMap;

use aws_smithy_types::date_time::{DateTime, Format};
use datasync_endpoint::{ObjectHeader, ObjectProperties};

use crate::object::metadata_map;
use crate::place::in_query;

/// The user metadata of an object that is written.
pub(crate) fn user_metadata(header: &ObjectHeader) -> HashMap<String, String> {
    let Some(properties) = &header.properties else {
        return metadata_map(&header.metadata, header.extended.as_deref());
    };
    let posix = header.metadata.to_pairs().into_iter();
    let posix = posix.map(|(name, value)| (name.to_owned(), value));
    let of_source = properties.user_metadata.iter().cloned();
    of_source.chain(posix).collect()
}

/// Tags as `x-amz-tagging` takes them; `None` for no tags.
pub(crate) fn tagging<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let pairs: Vec<String> = tags
        .into_iter()
        .map(|(name, value)| format!("{}={}", in_query(name), in_query(value)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

pub(crate) fn tags_of(properties: &ObjectProperties) -> Option<String> {
    let tags = properties.tags.iter();
    tagging(tags.map(|(name, value)| (name.as_str(), value.as_str())))
}

/// A text that is no time is left out: the SDK writes none.
pub(crate) fn time(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, Format::HttpDate).ok()
}

/// A request of the SDK with what the source's object carries besides user metadata.
macro_rules! described {
    ($request:expr, $properties:expr) => {{
        let request = $request;
        match $properties {
            None => request,
            Some(properties) => request
                .set_content_type(properties.content_type.clone())
                .set_content_encoding(properties.content_encoding.clone())
                .set_content_disposition(properties.content_disposition.clone())
                .set_content_language(properties.content_language.clone())
                .set_cache_control(properties.cache_control.clone())
                .set_expires(
                    properties
                        .expires
                        .as_deref()
                        .and_then($crate::properties::time),
                )
                .set_website_redirect_location(properties.website_redirect.clone())
                .set_tagging($crate::properties::tags_of(properties)),
        }
    }};
}
pub(crate) use described;

#[cfg(test)]
mod tests {
    use datasync_endpoint::PosixMetadata;

    use super::*;

    #[test]
    fn the_options_metadata_stand_before_those_of_the_source() {
        let pairs = [("file-owner", "7"), ("colour", "blue")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let header = ObjectHeader {
            metadata: PosixMetadata {
                owner: Some(1),
                ..PosixMetadata::default()
            },
            storage_class: None,
            only_if_absent: false,
            properties: Some(Box::new(ObjectProperties {
                user_metadata: pairs.into(),
                ..ObjectProperties::default()
            })),
            extended: None,
        };
        let map = user_metadata(&header);
        assert_eq!((map.len(), map["file-owner"].as_str()), (2, "1"));
        assert_eq!(map["colour"], "blue");
    }

    #[test]
    fn tags_are_a_query() {
        assert_eq!(tagging([]), None);
        let tags = [("a b", "1&2"), ("c", "")];
        assert_eq!(tagging(tags).as_deref(), Some("a%20b=1%262&c="));
    }
}
