//! Settings of stores and of the way to them.

use std::fs;

use datasync_model::Proxy;
use datasync_s3::{Encryption, Kms};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::validate::{Check, object_max};
use super::{EgressSettings, S3Settings};

const CA_BUNDLE_BYTES_MAX: u64 = 1 << 20;
/// "CreateMultipartUpload" has no bound; an ARN of a key with an alias takes less.
const KEY_ID_LENGTH_MAX: usize = 2048;

impl Check {
    pub(super) fn egress(&mut self) -> EgressSettings {
        let no_proxy = self.text("no_proxy").unwrap_or_default();
        EgressSettings {
            https_proxy: self.proxy("https_proxy", &no_proxy),
            http_proxy: self.proxy("http_proxy", &no_proxy),
            ca_bundle: self.optional("ca_bundle", ca_bundle),
        }
    }

    /// An empty text is no proxy: so one of the environment is undone.
    pub(super) fn proxy(&mut self, member: &'static str, no_proxy: &str) -> Option<Proxy> {
        self.text(member).filter(|text| !text.trim().is_empty())?;
        self.optional(member, |url| {
            Proxy::new(url, no_proxy).map_err(|error| error.to_string())
        })
    }

    pub(super) fn s3(&mut self) -> S3Settings {
        S3Settings {
            object_max: self.optional("s3.object_max", object_max),
            limits: self.limits("s3.requests_max", "s3.requests_per_second"),
            encryption: self.encryption(),
            bucket_owner_full_control: self.optional("s3.acl", acl).unwrap_or_default(),
            requester_pays: self
                .optional("s3.requester_pays", switch)
                .unwrap_or_default(),
        }
    }

    fn encryption(&mut self) -> Option<Encryption> {
        let word = self.text("s3.server_side_encryption").unwrap_or_default();
        let key_id = self.optional("s3.kms_key_id", key_id);
        let bucket_key = self.optional("s3.bucket_key", switch);
        let by_kms = matches!(word.as_str(), "aws:kms" | "aws:kms:dsse");
        if !by_kms && self.text("s3.kms_key_id").is_some() {
            self.fault(
                "s3.kms_key_id",
                "needs s3.server_side_encryption aws:kms or aws:kms:dsse",
            );
        }
        if word != "aws:kms" && self.text("s3.bucket_key").is_some() {
            self.fault("s3.bucket_key", "needs s3.server_side_encryption aws:kms");
        }
        let kms = |dual_layer| {
            Some(Encryption::Kms(Kms {
                dual_layer,
                key_id,
                bucket_key,
            }))
        };
        match word.as_str() {
            "" => None,
            "AES256" => Some(Encryption::S3),
            "aws:kms" => kms(false),
            "aws:kms:dsse" => kms(true),
            other => {
                let what = format!("{other:?} is none of AES256, aws:kms, aws:kms:dsse");
                self.fault("s3.server_side_encryption", &what);
                None
            }
        }
    }
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is neither true nor false"))
}

fn acl(text: &str) -> Result<bool, String> {
    match text {
        "none" => Ok(false),
        "bucket-owner-full-control" => Ok(true),
        _ => Err(format!(
            "{text:?} is neither none nor bucket-owner-full-control"
        )),
    }
}

/// It goes into a header.
fn key_id(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-.".contains(&byte);
    if (1..=KEY_ID_LENGTH_MAX).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no id or ARN of a key or alias"))
}

/// The PEM text of a file.
pub(crate) fn ca_bundle(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {path}: {error}");
    if fs::metadata(path).map_err(failed)?.len() > CA_BUNDLE_BYTES_MAX {
        return Err(format!("{path} is larger than {CA_BUNDLE_BYTES_MAX} bytes"));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let mut roots = RootCertStore::empty();
    // HTTP clients panic at certificates that they cannot read.
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate =
            certificate.map_err(|error| format!("{path} is not valid PEM: {error}"))?;
        roots.add(certificate).map_err(|error| {
            format!("{path} holds a certificate that cannot be trusted: {error}")
        })?;
    }
    if roots.is_empty() {
        return Err(format!("{path} holds no certificate in PEM"));
    }
    Ok(text)
}
