//! The public keys that reports are verified with.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use jiff::Timestamp;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use super::CheckError;
use crate::ca::key_id;
use crate::reports::keys::{ALGORITHM, PublishedKey, PublishedKeys};

/// The largest file of keys that is read, in bytes: some 400 for each key.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Clocks of replicas may differ by so much.
const CLOCK_SKEW_SECONDS: i64 = 300;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// A key of this id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(pem: &str, id: &str) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("{id} is not the PEM of a public key: {error}"))?;
        if key_id(&der) != id {
            return Err(format!("the key of {id} is another one, {}", key_id(&der)));
        }
        Ok(Self(der.to_vec()))
    }

    /// Whether `signature`, hexadecimal, is one of this key over `text`.
    pub(super) fn signed(&self, text: &str, signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0);
        hex::decode(signature)
            .is_ok_and(|signature| key.verify(text.as_bytes(), &signature).is_ok())
    }
}

/// A key of control's and when it was in use.
#[derive(Debug)]
pub(super) struct TrustedKey {
    pub(super) key: Key,
    from: Timestamp,
    until: Option<Timestamp>,
}

impl TrustedKey {
    fn of(published: &PublishedKey) -> Result<Self, String> {
        let id = &published.key_id;
        if published.algorithm != ALGORITHM {
            return Err(format!("{id} is of the algorithm {}", published.algorithm));
        }
        let time = |text: &str| {
            let parsed = text.parse::<Timestamp>();
            parsed.map_err(|error| format!("{id}: {text:?} is not a time: {error}"))
        };
        Ok(Self {
            key: Key::new(&published.public_key, id)?,
            from: time(&published.not_before)?,
            until: published.not_after.as_deref().map(time).transpose()?,
        })
    }

    pub(super) fn was_in_use(&self, at: Timestamp) -> bool {
        let is_before = |one: Timestamp, other: Timestamp| {
            one.as_second() <= other.as_second().saturating_add(CLOCK_SKEW_SECONDS)
        };
        is_before(self.from, at) && self.until.is_none_or(|until| is_before(at, until))
    }

    /// When it was in use, as text.
    pub(super) fn span(&self) -> (String, String) {
        let until = self.until.map(|until| until.to_string());
        (
            self.from.to_string(),
            until.unwrap_or_else(|| "now".to_owned()),
        )
    }
}

/// Control's keys by their ids.
#[derive(Debug)]
pub(super) struct Trusted(BTreeMap<String, TrustedKey>);

impl Trusted {
    /// # Errors
    /// [`CheckError`]: a file that cannot be read, or holds no keys.
    pub(super) fn read(path: &Path) -> Result<Self, CheckError> {
        let wrong = |reason: String| CheckError::Keys {
            path: path.to_owned(),
            reason,
        };
        let bytes = super::files::read(path, FILE_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| wrong("it is too large".to_owned()))?;
        let published: PublishedKeys =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let keys = published.keys.iter().map(|key| {
            let trusted = TrustedKey::of(key).map_err(wrong)?;
            Ok((key.key_id.clone(), trusted))
        });
        keys.collect::<Result<_, CheckError>>().map(Self)
    }

    pub(super) fn key(&self, id: &str) -> Option<&TrustedKey> {
        self.0.get(id)
    }
}
