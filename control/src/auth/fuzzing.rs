//! What the fuzz target `signature` of `tests/fuzz` calls.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

/// hyper takes as many by default.
const HEADERS_MAX: usize = 100;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request: lines of `name:value`, an empty one, and the body. A signature that is not over
/// these bytes is refused in the API's words; one that is, is taken, but not with another body.
pub fn signature(data: &[u8]) {
    let (headers, body) = request(data);
    let mut authorization = match Authorization::of(&headers) {
        Ok(authorization) => authorization,
        Err(error) => return refused(&error),
    };
    let (region, now) = (authorization.region.clone(), authorization.signed_at);
    let check = |authorization: &Authorization, body: &[u8]| {
        let request = SignedRequest {
            method: "POST",
            headers: &headers,
            body,
        };
        verify(request, authorization, SECRET, &region, now)
    };
    if let Err(error) = check(&authorization, body) {
        refused(&error);
    }
    let signed = SignedRequest {
        method: "POST",
        headers: &headers,
        body,
    };
    let Ok(to_sign) = to_sign(signed, &authorization) else {
        return;
    };
    authorization.signature = super::signature(SECRET, &authorization, &to_sign)
        .as_ref()
        .to_vec();
    match check(&authorization, body) {
        Ok(()) => {
            let another = [body, b" "].concat();
            assert!(check(&authorization, &another).is_err());
            authorization.signature[0] ^= 1;
            assert!(check(&authorization, body).is_err());
        }
        // Signed for another day than it says, or for another service.
        Err(error) => {
            refused(&error);
            let of_scope = authorization.service == SERVICE
                && authorization.amz_date[..8] == authorization.date;
            assert!(!of_scope, "{error}");
        }
    }
}

fn refused(error: &AuthError) {
    assert!(matches!(error.status(), 400 | 403));
    assert!(error.code().ends_with("Exception"));
    assert!(!error.to_string().is_empty() && !error.to_string().contains(SECRET));
}

/// Headers that HTTP can carry; others never come this far.
fn request(data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() || headers.len() == HEADERS_MAX {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/seeds/signature");
        let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::signature(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}
