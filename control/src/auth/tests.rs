//! The vectors in `vectors.json` were produced by botocore's own signer.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    headers: Vec<(String, String)>,
    body: String,
    region: String,
    secret: String,
    now: i64,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn headers(vector: &Vector) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &vector.headers {
        headers.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn check(vector: &Vector, headers: &HeaderMap, body: &[u8], seconds: i64) -> Result<(), AuthError> {
    let request = SignedRequest {
        method: "POST",
        headers,
        body,
    };
    let authorization = Authorization::of(headers)?;
    let now = Timestamp::from_second(vector.now + seconds).unwrap();
    verify(request, &authorization, &vector.secret, &vector.region, now)
}

#[test]
fn botocores_signatures_are_accepted() {
    for vector in vectors() {
        let result = check(&vector, &headers(&vector), vector.body.as_bytes(), 0);
        assert_eq!(result, Ok(()), "{}", vector.name);
    }
}

#[test]
fn any_change_is_noticed() {
    for vector in vectors() {
        let good = headers(&vector);
        let changed = format!("{} ", vector.body);
        let result = check(&vector, &good, changed.as_bytes(), 0);
        assert!(matches!(result, Err(AuthError::InvalidSignature(_))));
        for name in ["host", "x-amz-target", "content-type"] {
            let mut bad = good.clone();
            bad.insert(name, HeaderValue::from_static("other"));
            let result = check(&vector, &bad, vector.body.as_bytes(), 0);
            assert!(
                matches!(result, Err(AuthError::InvalidSignature(_))),
                "{name}"
            );
        }
    }
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    for vector in vectors() {
        for (seconds, accepted) in [(900, true), (-900, true), (901, false), (-901, false)] {
            let result = check(&vector, &headers(&vector), vector.body.as_bytes(), seconds);
            assert_eq!(result.is_ok(), accepted, "{seconds}: {result:?}");
            if let Err(error) = result {
                assert_eq!(error.code(), "InvalidSignatureException");
                assert!(error.to_string().starts_with("Signature "), "{error}");
            }
        }
    }
}

#[test]
fn foreign_scopes_and_missing_parts_are_told_apart() {
    let vector = &vectors()[0];
    let good = headers(vector);
    assert_eq!(
        Authorization::of(&HeaderMap::new()),
        Err(AuthError::Missing)
    );
    let parsed = Authorization::of(&good).unwrap();
    let request = SignedRequest {
        method: "POST",
        headers: &good,
        body: vector.body.as_bytes(),
    };
    let now = Timestamp::from_second(vector.now).unwrap();
    let foreign = verify(request, &parsed, &vector.secret, "mars-1", now);
    assert!(foreign.unwrap_err().to_string().contains("mars-1"));
    let wrong = verify(request, &parsed, "other", &vector.region, now);
    assert!(matches!(wrong, Err(AuthError::InvalidSignature(_))));
    for text in [
        "Bearer x",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 Credential=a/b",
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/datasync/aws4_request, SignedHeaders=host;x-amz-date, Signature=zz",
    ] {
        let mut bad = good.clone();
        bad.insert("authorization", HeaderValue::from_str(text).unwrap());
        let result = Authorization::of(&bad);
        assert!(
            matches!(result, Err(AuthError::Incomplete(_))),
            "{text}: {result:?}"
        );
    }
    let unsigned_host = good["authorization"]
        .to_str()
        .unwrap()
        .replace(";host;", ";");
    let mut bad = good.clone();
    bad.insert(
        "authorization",
        HeaderValue::from_str(&unsigned_host).unwrap(),
    );
    let result = Authorization::of(&bad);
    assert!(
        matches!(result, Err(AuthError::InvalidSignature(_))),
        "{result:?}"
    );
}

#[test]
fn repeated_headers_do_not_pass_for_single_ones() {
    let vector = &vectors()[0];
    let good = headers(vector);
    let mut two = good.clone();
    two.append("authorization", good["authorization"].clone());
    let result = Authorization::of(&two);
    assert!(
        matches!(result, Err(AuthError::Incomplete(_))),
        "{result:?}"
    );
    for name in ["host", "x-amz-date", "x-amz-target"] {
        let mut added = good.clone();
        added.append(name, good[name].clone());
        let result = check(vector, &added, vector.body.as_bytes(), 0);
        assert!(
            matches!(result, Err(AuthError::InvalidSignature(_))),
            "{name}: {result:?}"
        );
    }
}

/// What botocore, the Rust and the JavaScript SDK send beside what they sign, and what they never
/// leave unsigned.
#[test]
fn headers_of_aws_must_be_signed_but_for_those_that_change_nothing() {
    for vector in vectors() {
        for name in [
            "amz-sdk-invocation-id",
            "amz-sdk-request",
            "user-agent",
            "x-amzn-trace-id",
            "x-amz-user-agent",
            "x-amz-content-sha256",
        ] {
            let mut headers = headers(&vector);
            headers.insert(name, HeaderValue::from_static("value"));
            let result = check(&vector, &headers, vector.body.as_bytes(), 0);
            assert_eq!(result, Ok(()), "{name}");
        }
        let mut added = headers(&vector);
        added.insert("x-amz-meta-surprise", HeaderValue::from_static("value"));
        let mut uncovered = headers(&vector);
        let authorization = uncovered["authorization"].to_str().unwrap();
        let authorization = authorization.replace(";x-amz-target", "");
        uncovered.insert("authorization", authorization.parse().unwrap());
        for (headers, name) in [(added, "x-amz-meta-surprise"), (uncovered, "x-amz-target")] {
            let result = check(&vector, &headers, vector.body.as_bytes(), 0);
            let Err(AuthError::InvalidSignature(text)) = result else {
                panic!("{name}: {result:?}");
            };
            assert!(text.contains("not signed") && text.contains(name), "{text}");
        }
    }
}
