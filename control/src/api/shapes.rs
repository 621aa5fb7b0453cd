//! The input shapes of the API's model (`datasync/2018-11-09`), and whether JSON fits them.
//!
//! SDKs check few of the model's patterns, enumerations and maxima, so every operation's members
//! are held against its shape before the operation sees them. Members that no shape has are
//! passed over, as AWS's JSON services do.

mod azure;
mod elsewhere;
mod fsx;
mod hdfs;
mod locations;
mod operations;
mod smb;
mod tasks;
mod texts;

use std::fmt;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Map, Value};

use super::error::ApiError;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use operations::OPERATIONS;
pub(super) use operations::input_of;

/// What a member may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text(&'static Text),
    /// One of these.
    Word(&'static [&'static str]),
    /// A whole number within these bounds.
    Number(i64, i64),
    /// Base64 of at most so many bytes.
    Blob(usize),
    List(&'static List),
    Structure(&'static [Member]),
}

/// From `min` to `max` elements of one shape.
#[derive(Debug)]
pub(super) struct List {
    of: Shape,
    min: usize,
    max: usize,
}

/// A member of a structure.
#[derive(Debug)]
pub(super) struct Member {
    name: &'static str,
    shape: Shape,
    is_required: bool,
}

/// From `min` to `max` characters, all of them in `pattern`.
#[derive(Debug)]
pub(super) struct Text {
    min: usize,
    max: usize,
    pattern: &'static str,
    is_secret: bool,
    compiled: OnceLock<Result<Regex, regex::Error>>,
}

impl Text {
    const fn new(min: usize, max: usize, pattern: &'static str) -> Self {
        Self::of(min, max, pattern, false)
    }

    /// A text that no answer repeats.
    const fn secret(min: usize, max: usize, pattern: &'static str) -> Self {
        Self::of(min, max, pattern, true)
    }

    const fn of(min: usize, max: usize, pattern: &'static str, is_secret: bool) -> Self {
        Self {
            min,
            max,
            pattern,
            is_secret,
            compiled: OnceLock::new(),
        }
    }

    fn compiled(&self) -> Result<&Regex, ApiError> {
        let compile = || Regex::new(&format!("^(?:{})$", self.pattern));
        self.compiled
            .get_or_init(compile)
            .as_ref()
            .map_err(|error| {
                tracing::error!(%error, "a pattern of the API's model cannot be compiled");
                ApiError::internal()
            })
    }

    fn check(&self, text: &str, path: &Path<'_>) -> Result<(), ApiError> {
        let refused = |constraint: &str| {
            let shown = if self.is_secret { "***" } else { text };
            Err(ApiError::constraint(&path.to_string(), shown, constraint))
        };
        let length = text.chars().count();
        if length < self.min {
            return refused(&format!("must have at least {} character(s)", self.min));
        }
        if length > self.max {
            return refused(&format!("must have at most {} characters", self.max));
        }
        if !self.compiled()?.is_match(text) {
            return refused(&format!("must match ^{}$", self.pattern));
        }
        Ok(())
    }
}

const fn required(name: &'static str, shape: Shape) -> Member {
    Member {
        name,
        shape,
        is_required: true,
    }
}

const fn optional(name: &'static str, shape: Shape) -> Member {
    Member {
        name,
        shape,
        is_required: false,
    }
}

const fn list(of: Shape, min: usize, max: usize) -> List {
    List { of, min, max }
}

/// Where a value is: `Tags.member.Key`.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'a str,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)
    }
}

/// Whether `value` is an input of `members`.
///
/// # Errors
/// The first member that has another type, is missing, or breaks a constraint of the model.
pub(super) fn check(value: &Value, members: &'static [Member]) -> Result<(), ApiError> {
    match value {
        Value::Object(given) => structure(given, members, None),
        _ => Err(ApiError::serialization(
            "The request body must be a JSON object.",
        )),
    }
}

/// Drops what `members` does not have, whatever it is.
pub(super) fn retain_known(value: &mut Value, members: &'static [Member]) {
    if let Value::Object(given) = value {
        given.retain(|name, _| members.iter().any(|member| member.name == name));
    }
}

fn structure(
    given: &Map<String, Value>,
    members: &'static [Member],
    parent: Option<&Path<'_>>,
) -> Result<(), ApiError> {
    for member in members {
        let path = Path {
            parent,
            name: member.name,
        };
        match given.get(member.name) {
            Some(value) if !value.is_null() => fits(value, member.shape, &path)?,
            _ if member.is_required => return Err(ApiError::missing(&path.to_string())),
            _ => {}
        }
    }
    Ok(())
}

fn fits(value: &Value, shape: Shape, path: &Path<'_>) -> Result<(), ApiError> {
    match (shape, value) {
        (Shape::Text(text), Value::String(given)) => text.check(given, path),
        (Shape::Word(words), Value::String(given)) => word(given, words, path),
        (Shape::Number(min, max), Value::Number(given)) => {
            let number = given.as_i64().ok_or_else(|| wrong_type(shape, path))?;
            within(number, min, max, path)
        }
        (Shape::Blob(max), Value::String(given)) => blob(given, max, path),
        (Shape::List(list), Value::Array(given)) => elements(given, list, path),
        (Shape::Structure(members), Value::Object(given)) => structure(given, members, Some(path)),
        _ => Err(wrong_type(shape, path)),
    }
}

fn wrong_type(shape: Shape, path: &Path<'_>) -> ApiError {
    let wanted = match shape {
        Shape::Text(_) | Shape::Word(_) => "a string",
        Shape::Number(..) => "a whole number of at most 64 bits",
        Shape::Blob(_) => "base64 in a string",
        Shape::List(_) => "a list",
        Shape::Structure(_) => "a structure",
    };
    ApiError::serialization(format!("{path} must be {wanted}."))
}

fn word(given: &str, words: &[&str], path: &Path<'_>) -> Result<(), ApiError> {
    if words.contains(&given) {
        return Ok(());
    }
    let constraint = format!("must be one of [{}]", words.join(", "));
    Err(ApiError::constraint(&path.to_string(), given, &constraint))
}

fn within(number: i64, min: i64, max: i64, path: &Path<'_>) -> Result<(), ApiError> {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    let constraint = if max == i64::MAX {
        format!("must be at least {min}")
    } else {
        format!("must be from {min} to {max}")
    };
    let shown = number.to_string();
    Err(ApiError::constraint(&path.to_string(), &shown, &constraint))
}

fn blob(given: &str, max: usize, path: &Path<'_>) -> Result<(), ApiError> {
    let bytes = STANDARD
        .decode(given)
        .map_err(|_| wrong_type(Shape::Blob(max), path))?;
    if bytes.len() <= max {
        return Ok(());
    }
    let constraint = format!("must have at most {max} bytes");
    let shown = format!("{} bytes", bytes.len());
    Err(ApiError::constraint(&path.to_string(), &shown, &constraint))
}

fn elements(given: &[Value], list: &'static List, path: &Path<'_>) -> Result<(), ApiError> {
    if !(list.min..=list.max).contains(&given.len()) {
        let constraint = if list.max == usize::MAX {
            format!("must have at least {} element(s)", list.min)
        } else {
            format!("must have from {} to {} elements", list.min, list.max)
        };
        let shown = format!("a list of {}", given.len());
        return Err(ApiError::constraint(&path.to_string(), &shown, &constraint));
    }
    let element = Path {
        parent: Some(path),
        name: "member",
    };
    given
        .iter()
        .try_for_each(|value| fits(value, list.of, &element))
}

#[cfg(test)]
mod tests;
