//! Answers as bytes.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) fn reply(status: StatusCode, body: impl Into<String>) -> Answer {
    let body: String = body.into();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
}

pub(crate) fn ok(body: impl Into<String>) -> Answer {
    reply(StatusCode::OK, body)
}

pub(crate) fn error(status: StatusCode, code: &str) -> Answer {
    reply(
        status,
        format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"),
    )
}

/// Something that is named in the request and is not there.
pub(crate) fn missing(code: &str) -> Answer {
    error(StatusCode::NOT_FOUND, code)
}

pub(crate) fn with<'a>(
    mut answer: Answer,
    headers: impl IntoIterator<Item = (&'a str, String)>,
) -> Answer {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
