//! AWS Signature Version 4 on request headers (AWS reference: "Create a signed AWS API request").
//!
//! Pure: the secret and the time are passed in. Nothing here logs or shows a secret.

mod canonical;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod header;

use aws_lc_rs::{constant_time, digest, hmac};
use http::HeaderMap;
use jiff::Timestamp;

pub(crate) use header::Authorization;

/// Clocks may differ by this much.
const SKEW_MINUTES: i64 = 15;
pub(crate) const SERVICE: &str = "datasync";

/// Why a request is not authentic, in the types that AWS's JSON services use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("Missing Authentication Token")]
    Missing,
    #[error("{0}")]
    Incomplete(String),
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    #[error("{0}")]
    InvalidSignature(String),
}

impl AuthError {
    /// The `__type` of the answer.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::InvalidSignature(_) => "InvalidSignatureException",
        }
    }

    /// The HTTP status: 403 only where AWS's list of common errors says so.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Missing => 403,
            Self::Incomplete(_) | Self::UnknownKey | Self::InvalidSignature(_) => 400,
        }
    }
}

/// What is verified. The path is `/` and there is no query: nothing else is routed here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// Checks everything about `authorization` but the existence of its key.
///
/// # Errors
/// [`AuthError`]: a foreign scope, a clock that is off, a signature that does not match.
pub(crate) fn verify(
    request: SignedRequest<'_>,
    authorization: &Authorization,
    secret: &str,
    region: &str,
    now: Timestamp,
) -> Result<(), AuthError> {
    check_time(authorization, now)?;
    check_scope(authorization, region)?;
    let to_sign = to_sign(request, authorization)?;
    let expected = signature(secret, authorization, &to_sign);
    constant_time::verify_slices_are_equal(expected.as_ref(), &authorization.signature).map_err(
        |_| {
            AuthError::InvalidSignature(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details."
                    .to_owned(),
            )
        },
    )
}

fn check_time(authorization: &Authorization, now: Timestamp) -> Result<(), AuthError> {
    let signed = authorization.signed_at;
    let minutes = jiff::SignedDuration::from_mins(SKEW_MINUTES);
    let text = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    if now.duration_since(signed) > minutes {
        return Err(AuthError::InvalidSignature(format!(
            "Signature expired: {} is now earlier than {} ({} - {SKEW_MINUTES} min.)",
            authorization.amz_date,
            text(now - minutes),
            text(now),
        )));
    }
    if signed.duration_since(now) > minutes {
        return Err(AuthError::InvalidSignature(format!(
            "Signature not yet current: {} is still later than {} ({} + {SKEW_MINUTES} min.)",
            authorization.amz_date,
            text(now + minutes),
            text(now),
        )));
    }
    Ok(())
}

fn check_scope(authorization: &Authorization, region: &str) -> Result<(), AuthError> {
    let refused = |text: String| Err(AuthError::InvalidSignature(text));
    if authorization.amz_date.get(..8) != Some(authorization.date.as_str()) {
        return refused(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{}' != '{}'.",
            authorization.date,
            authorization.amz_date.get(..8).unwrap_or_default(),
        ));
    }
    if authorization.region != region {
        return refused(format!(
            "Credential should be scoped to a valid region: this control plane is '{region}', \
             not '{}'.",
            authorization.region
        ));
    }
    if authorization.service != SERVICE {
        return refused(format!(
            "Credential should be scoped to correct service: '{SERVICE}'."
        ));
    }
    Ok(())
}

fn to_sign(request: SignedRequest<'_>, authorization: &Authorization) -> Result<String, AuthError> {
    let canonical = canonical::request(request, &authorization.signed_headers)?;
    Ok(format!(
        "AWS4-HMAC-SHA256\n{}\n{}/{}/{}/aws4_request\n{}",
        authorization.amz_date,
        authorization.date,
        authorization.region,
        authorization.service,
        hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes())),
    ))
}

fn signature(secret: &str, authorization: &Authorization, to_sign: &str) -> hmac::Tag {
    let mac = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
    };
    let seed = zeroize::Zeroizing::new(format!("AWS4{secret}"));
    let date = mac(seed.as_bytes(), &authorization.date);
    let region = mac(date.as_ref(), &authorization.region);
    let service = mac(region.as_ref(), &authorization.service);
    let key = mac(service.as_ref(), "aws4_request");
    mac(key.as_ref(), to_sign)
}

#[cfg(test)]
mod tests;
