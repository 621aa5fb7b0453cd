//! The constraints of the API's model: clients do not check patterns, enumerations or maxima.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;

use super::error::ApiError;
use crate::records::Tags;

const TAGS_MAX: usize = 50;

/// One element of `Tags`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagInput {
    key: Option<String>,
    value: Option<String>,
}

pub(super) fn required<T>(value: Option<T>, member: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::missing(member))
}

/// At most `max` characters, each allowed by `allowed`.
pub(super) fn text(
    value: &str,
    member: &str,
    max: usize,
    pattern: &str,
    allowed: impl Fn(char) -> bool,
) -> Result<(), ApiError> {
    if value.chars().count() > max {
        let constraint = format!("must have at most {max} characters");
        return Err(ApiError::constraint(member, value, &constraint));
    }
    if !value.chars().all(allowed) {
        return Err(unlike(value, member, pattern));
    }
    Ok(())
}

pub(super) fn unlike(value: &str, member: &str, pattern: &str) -> ApiError {
    let constraint = format!("must match {pattern}");
    ApiError::constraint(member, value, &constraint)
}

/// A word of one of the API's enumerations.
pub(super) fn word<T>(value: &str, member: &str, all: &[T]) -> Result<T, ApiError>
where
    T: FromStr + Display,
{
    value.parse().map_err(|_| {
        let words: Vec<String> = all.iter().map(T::to_string).collect();
        let constraint = format!("must be one of [{}]", words.join(", "));
        ApiError::constraint(member, value, &constraint)
    })
}

/// `TagValue`: names and the values of tags. May be empty.
pub(super) fn name(value: &str, member: &str) -> Result<(), ApiError> {
    text(value, member, 256, r"^[a-zA-Z0-9\s+=._:@/-]+$", |c| {
        is_tag_character(c) || c == '@'
    })
}

/// A name that is shown only if it is not empty.
pub(super) fn optional_name(
    value: Option<String>,
    member: &str,
) -> Result<Option<String>, ApiError> {
    if let Some(value) = &value {
        name(value, member)?;
    }
    Ok(value.filter(|value| !value.is_empty()))
}

fn is_tag_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c.is_whitespace() || "+=._:/-".contains(c)
}

pub(super) fn tag_key(key: &str, member: &str) -> Result<(), ApiError> {
    if key.is_empty() {
        let constraint = "must have at least 1 character";
        return Err(ApiError::constraint(member, key, constraint));
    }
    text(
        key,
        member,
        256,
        r"^[a-zA-Z0-9\s+=._:/-]+$",
        is_tag_character,
    )
}

pub(super) fn tags(input: Option<Vec<TagInput>>) -> Result<Tags, ApiError> {
    let input = input.unwrap_or_default();
    list_size(&input, "Tags", 0, TAGS_MAX)?;
    let mut tags = Tags::new();
    for tag in input {
        let key = required(tag.key, "Tags.member.Key")?;
        tag_key(&key, "Tags.member.Key")?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::invalid(format!(
                "Tag key {key:?} is not allowed: keys that begin with aws: are reserved."
            )));
        }
        let value = tag.value.unwrap_or_default();
        name(&value, "Tags.member.Value")?;
        if tags.insert(key.clone(), value).is_some() {
            return Err(ApiError::invalid(format!("Tag key {key:?} appears twice.")));
        }
    }
    Ok(tags)
}

pub(super) fn tag_count(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(ApiError::invalid(format!(
            "A resource can have at most {TAGS_MAX} tags."
        )));
    }
    Ok(())
}

pub(super) fn list_size<T>(
    list: &[T],
    member: &str,
    min: usize,
    max: usize,
) -> Result<(), ApiError> {
    if (min..=max).contains(&list.len()) {
        return Ok(());
    }
    let constraint = format!("must have from {min} to {max} elements");
    let shown = format!("a list of {}", list.len());
    Err(ApiError::constraint(member, &shown, &constraint))
}

fn is_space_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// `Subdirectory` of every location type.
pub(super) fn subdirectory(value: &str) -> Result<(), ApiError> {
    s3_subdirectory(value, "Subdirectory")
}

/// `S3Subdirectory`: also the keys of manifests.
pub(super) fn s3_subdirectory(value: &str, member: &str) -> Result<(), ApiError> {
    text(
        value,
        member,
        4096,
        r"^[a-zA-Z0-9_\-\+\./\(\)\p{Zs}]*$",
        |c| c.is_ascii_alphanumeric() || "_-+./()".contains(c) || is_space_separator(c),
    )
}
