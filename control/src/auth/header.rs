//! The `Authorization` and `X-Amz-Date` headers.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::AuthError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SIGNATURE_BYTES: usize = 32;
/// Without these a request could be sent elsewhere, or later.
const MUST_BE_SIGNED: [&str; 2] = ["host", "x-amz-date"];

/// Headers of AWS that clients may leave unsigned. `x-amz-user-agent` describes the client and
/// changes nothing (some SDKs add it after signing); the body's hash is computed here and signed
/// whatever `x-amz-content-sha256` says (awscurl leaves it out).
const MAY_BE_UNSIGNED: [&str; 2] = ["x-amz-content-sha256", "x-amz-user-agent"];

/// A parsed `Authorization` header and the time that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) signed_headers: Vec<String>,
    pub(crate) signature: Vec<u8>,
    pub(super) amz_date: String,
    pub(super) signed_at: Timestamp,
}

impl Authorization {
    /// # Errors
    /// [`AuthError::Missing`] or [`AuthError::Incomplete`]; a session token is of no key of ours.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, AuthError> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let header = given.next().ok_or(AuthError::Missing)?;
        if given.next().is_some() {
            return Err(AuthError::Incomplete(
                "There must be one Authorization header.".to_owned(),
            ));
        }
        let header = header.to_str().map_err(|_| {
            AuthError::Incomplete("The Authorization header is not ASCII.".to_owned())
        })?;
        let fields = header
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or_else(|| {
                AuthError::Incomplete(format!("Authorization header requires '{ALGORITHM}'."))
            })?;
        if headers.contains_key("x-amz-security-token") {
            return Err(AuthError::UnknownKey);
        }
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|value| !value.is_empty())
                .ok_or_else(|| {
                    AuthError::Incomplete(format!(
                        "Authorization header requires '{name}' parameter."
                    ))
                })
        };
        let credential: Vec<&str> = field("Credential")?.split('/').collect();
        let &[access_key_id, date, region, service, "aws4_request"] = credential.as_slice() else {
            return Err(AuthError::Incomplete(
                "Credential must have exactly 5 slash-delimited elements: \
                 keyid/date/region/service/aws4_request."
                    .to_owned(),
            ));
        };
        let signature = hex::decode(field("Signature")?)
            .ok()
            .filter(|bytes| bytes.len() == SIGNATURE_BYTES)
            .ok_or_else(|| {
                AuthError::Incomplete("Signature must be 64 hexadecimal digits.".to_owned())
            })?;
        let (amz_date, signed_at) = time(headers)?;
        let signed_headers = signed_headers(field("SignedHeaders")?)?;
        all_signed(headers, &signed_headers)?;
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers,
            signature,
            amz_date,
            signed_at,
        })
    }
}

fn signed_headers(text: &str) -> Result<Vec<String>, AuthError> {
    let names: Vec<String> = text.split(';').map(str::to_owned).collect();
    if !names.is_sorted_by(|a, b| a < b) || names.iter().any(|n| n.to_ascii_lowercase() != *n) {
        return Err(AuthError::Incomplete(
            "SignedHeaders must be in lower case, sorted and without repetition.".to_owned(),
        ));
    }
    for name in MUST_BE_SIGNED {
        if !names.iter().any(|signed| signed == name) {
            return Err(AuthError::InvalidSignature(format!(
                "'{}' must be a 'SignedHeader' in the AWS Authorization.",
                if name == "host" { "Host" } else { "X-Amz-Date" }
            )));
        }
    }
    Ok(names)
}

/// Every `x-amz-*` header must be signed (SigV4, "Canonical request"): they say what is done.
fn all_signed(headers: &HeaderMap, signed: &[String]) -> Result<(), AuthError> {
    let unsigned = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-") && !MAY_BE_UNSIGNED.contains(name))
        .find(|name| !signed.iter().any(|signed| signed == name));
    match unsigned {
        None => Ok(()),
        Some(name) => Err(AuthError::InvalidSignature(format!(
            "There were headers present in the request which were not signed: '{name}' must be a \
             'SignedHeader' in the AWS Authorization."
        ))),
    }
}

fn time(headers: &HeaderMap) -> Result<(String, Timestamp), AuthError> {
    let incomplete = || {
        AuthError::Incomplete(
            "Authorization header requires existence of a valid 'X-Amz-Date' header, \
             as in 20261121T083000Z."
                .to_owned(),
        )
    };
    let text = headers
        .get("x-amz-date")
        .and_then(|value| value.to_str().ok())
        .filter(|text| text.len() == 16 && text.is_ascii())
        .ok_or_else(incomplete)?;
    let signed_at = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", text)
        .and_then(|parsed| parsed.to_datetime())
        .and_then(|civil| TimeZone::UTC.to_timestamp(civil))
        .map_err(|_| incomplete())?;
    Ok((text.to_owned(), signed_at))
}
