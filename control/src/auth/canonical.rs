//! The canonical request.

use std::fmt::Write;

use aws_lc_rs::digest;
use http::HeaderMap;

use super::{AuthError, SignedRequest};

pub(super) fn request(
    request: SignedRequest<'_>,
    signed_headers: &[String],
) -> Result<String, AuthError> {
    let mut text = format!("{}\n/\n\n", request.method);
    for name in signed_headers {
        let value = value(request.headers, name).ok_or_else(|| {
            AuthError::InvalidSignature(format!(
                "The signed header {name:?} is not in the request."
            ))
        })?;
        if writeln!(text, "{name}:{value}").is_err() {
            return Err(AuthError::InvalidSignature("header too large".to_owned()));
        }
    }
    text.push('\n');
    text.push_str(&signed_headers.join(";"));
    text.push('\n');
    text.push_str(&hex::encode(digest::digest(&digest::SHA256, request.body)));
    Ok(text)
}

/// Values trimmed, runs of spaces made one, repeated headers joined by a comma.
fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let mut joined = Vec::new();
    for value in values {
        let text = std::str::from_utf8(value.as_bytes()).ok()?;
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        joined.push(words.join(" "));
    }
    Some(joined.join(","))
}
