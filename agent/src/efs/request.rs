//! The request that a client certificate stands for: `Connect`, signed by Signature Version 4 as for
//! a presigned URL. Its form is that of the EFS mount helper (aws/efs-utils).

use aws_credential_types::Credentials;
use aws_lc_rs::{digest, hmac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "elasticfilesystem";
const TERMINATOR: &str = "aws4_request";
/// Seconds for which the request says that it is good.
const EXPIRES: u32 = 86_400;
/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connect<'a> {
    pub(super) file_system_id: &'a str,
    pub(super) region: &'a str,
    /// SHA-1 of the certificate's public key, in hexadecimal: the signature is worth nothing with
    /// another key.
    pub(super) public_key_hash: &'a str,
    pub(super) at: Timestamp,
}

impl Connect<'_> {
    fn date(&self) -> String {
        self.at.strftime("%Y%m%d").to_string()
    }

    fn date_time(&self) -> String {
        self.at.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    fn scope(&self) -> String {
        let (date, region) = (self.date(), self.region);
        format!("{date}/{region}/{SERVICE}/{TERMINATOR}")
    }

    /// In the order of the names. The helper leaves no empty line behind the headers.
    fn canonical(&self, credentials: &Credentials) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let key = credentials.access_key_id();
        let credential = encoded(&format!("{key}/{}", self.scope()));
        let token = credentials
            .session_token()
            .map(|token| format!("&X-Amz-Security-Token={}", encoded(token)))
            .unwrap_or_default();
        let nothing = hex::encode(digest::digest(&digest::SHA256, b""));
        format!(
            "GET\n/\nAction=Connect&PublicKeyHash={hash}&X-Amz-Algorithm={ALGORITHM}\
             &X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={EXPIRES}{token}\
             &X-Amz-SignedHeaders=host\nhost:{host}\nhost\n{nothing}",
            hash = self.public_key_hash,
            date = self.date_time(),
            host = self.file_system_id,
        )
    }

    /// The signature, in hexadecimal.
    pub(super) fn signature(&self, credentials: &Credentials) -> String {
        let canonical = self.canonical(credentials);
        let canonical = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let (date_time, scope) = (self.date_time(), self.scope());
        let text = format!("{ALGORITHM}\n{date_time}\n{scope}\n{canonical}");
        let first = format!("AWS4{}", credentials.secret_access_key());
        let mut key = signed(first.as_bytes(), &self.date());
        for part in [self.region, SERVICE, TERMINATOR] {
            key = signed(key.as_ref(), part);
        }
        hex::encode(signed(key.as_ref(), &text))
    }
}

fn signed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn connect() -> Connect<'static> {
        Connect {
            file_system_id: "fs-0123abcd",
            region: "us-east-1",
            public_key_hash: HASH,
            at: "2026-11-26T20:15:30Z".parse().unwrap(),
        }
    }

    fn credentials(token: Option<&str>) -> Credentials {
        let token = token.map(str::to_owned);
        Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token, None, "test")
    }

    #[test]
    fn the_request_has_the_form_that_the_helper_signs() {
        let expected = format!(
            "GET\n/\nAction=Connect&PublicKeyHash={HASH}&X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20261126%2Fus-east-1%2Felasticfilesystem%2Faws4_request\
             &X-Amz-Date=20261126T201530Z&X-Amz-Expires=86400&X-Amz-Security-Token=a%2Bb%2Fc%3D\
             &X-Amz-SignedHeaders=host\nhost:fs-0123abcd\nhost\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(connect().canonical(&credentials(Some("a+b/c="))), expected);
        let without = expected.replace("&X-Amz-Security-Token=a%2Bb%2Fc%3D", "");
        assert_eq!(connect().canonical(&credentials(None)), without);
    }

    /// Computed by Python's hmac and hashlib from the request above.
    #[test]
    fn signatures_are_those_of_another_implementation() {
        let signature = |token| connect().signature(&credentials(token));
        assert_eq!(
            signature(Some("a+b/c=")),
            "281310e7e4eabef521f196da75508d8dd61b3b42de09bdd751441d94d6760c4d"
        );
        assert_eq!(
            signature(None),
            "f6636004cb7e1ca481286dd175ff58ff4e178094094417a30a9245c8f042c639"
        );
    }
}
