//! Headers that are stored with an object, and tags.

use percent_encoding::percent_decode_str;
use s3s::dto;
use s3s::{S3Result, s3_error};

use crate::object::Attributes;

/// Names and values of user metadata together, in bytes.
const METADATA_MAX: usize = 2048;

const STORAGE_CLASSES: [&str; 10] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
];

/// Classes whose objects must be restored before they are read or copied.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// Refuses to read an archived object; nothing restores one here.
pub(crate) fn check_readable(attributes: &Attributes) -> S3Result<()> {
    match attributes.storage_class.as_deref() {
        Some(class) if ARCHIVES.contains(&class) => Err(s3_error!(
            InvalidObjectState,
            "The operation is not valid for the object's storage class"
        )),
        _ => Ok(()),
    }
}

/// Reads the attributes of any input that has these fields, moving them out of it.
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::ops::attributes::checked(
            $input.metadata.take(),
            $input.storage_class.as_ref().map(|class| class.as_str()),
            $input.expires.take(),
            $crate::object::Attributes {
                content_type: $input.content_type.take(),
                content_encoding: $input.content_encoding.take(),
                content_language: $input.content_language.take(),
                content_disposition: $input.content_disposition.take(),
                cache_control: $input.cache_control.take(),
                website_redirect_location: $input.website_redirect_location.take(),
                ..Default::default()
            },
        )
    };
}
pub(crate) use attributes_of;

/// Completes the plain headers with those that can be refused.
pub(crate) fn checked(
    metadata: Option<dto::Metadata>,
    storage_class: Option<&str>,
    expires: Option<dto::Timestamp>,
    plain: Attributes,
) -> S3Result<Attributes> {
    let metadata = metadata.unwrap_or_default();
    let size: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size > METADATA_MAX {
        return Err(s3_error!(
            MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size"
        ));
    }
    Ok(Attributes {
        metadata: metadata
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect(),
        storage_class: checked_storage_class(storage_class)?,
        expires: expires.map(unix_seconds),
        content_encoding: plain
            .content_encoding
            .as_deref()
            .and_then(without_aws_chunked),
        content_type: plain.content_type.filter(|text| !text.is_empty()),
        ..plain
    })
}

fn checked_storage_class(class: Option<&str>) -> S3Result<Option<String>> {
    match class {
        None | Some("STANDARD") => Ok(None),
        Some(class) if STORAGE_CLASSES.contains(&class) => Ok(Some(class.to_owned())),
        Some(_) => Err(s3_error!(
            InvalidStorageClass,
            "The storage class you specified is not valid"
        )),
    }
}

/// `aws-chunked` describes the request's body, not the object.
fn without_aws_chunked(encoding: &str) -> Option<String> {
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty() && *e != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

pub(crate) fn unix_seconds(time: dto::Timestamp) -> i64 {
    let mut text = Vec::new();
    let written = time.format(dto::TimestampFormat::EpochSeconds, &mut text);
    let text = if written.is_ok() {
        String::from_utf8_lossy(&text)
    } else {
        "0".into()
    };
    text.split('.')
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_default()
}

/// Tags from the `x-amz-tagging` header: a URL query.
pub(crate) fn tags_from_header(header: Option<&str>) -> S3Result<Vec<(String, String)>> {
    let mut tags = Vec::new();
    for pair in header
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        tags.push((decode(key)?, decode(value)?));
    }
    checked_tags(tags)
}

fn decode(text: &str) -> S3Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| s3_error!(InvalidTag, "A tag is not valid UTF-8."))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>
pub(crate) fn checked_tags(mut tags: Vec<(String, String)>) -> S3Result<Vec<(String, String)>> {
    tags.sort();
    let repeated = tags.windows(2).any(|pair| pair[0].0 == pair[1].0);
    let long = tags.iter().any(|(key, value)| {
        key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256
    });
    if tags.len() > 10 {
        return Err(s3_error!(
            InvalidTag,
            "Object tags cannot be greater than 10"
        ));
    }
    if repeated || long {
        return Err(s3_error!(
            InvalidTag,
            "The tag set has a repeated or an ill-sized tag."
        ));
    }
    Ok(tags)
}
