//! Public keys that releases are signed with: Ed25519, in PEM, as `openssl pkey -pubout` writes them.

use std::fs;
use std::path::{Path, PathBuf};

use datasync_proto::{BundleHeader, KEY_ID_DIGITS};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{SubjectPublicKeyInfoDer, alg_id};
use sha2::{Digest, Sha256};

/// The DER of an Ed25519 public key is this and the key's 32 bytes.
const ED25519_DER: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Files of a directory that are looked into, and keys that are kept.
const FILES_MAX: usize = 64;
const KEYS_MAX: usize = 64;

/// Whose releases this agent runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseKeys(Vec<ReleaseKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReleaseKey {
    id: String,
    bytes: [u8; 32],
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error(
        "no key is configured that releases may be signed with (release_keys), so no update is installed"
    )]
    NoKeys,
    #[error("it is signed with the key {0}, which is not among release_keys")]
    UnknownKey(String),
    #[error("its signature is not good: it was changed, or was not signed with the key {0}")]
    Wrong(String),
}

impl ReleaseKeys {
    /// Reads a PEM file, or each `*.pem` of a directory.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut keys = Vec::new();
        for file in files(path)? {
            let told = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
            let length = fs::metadata(&file).map_err(|e| told(&e))?.len();
            if length > FILE_BYTES_MAX {
                return Err(told(&format!("larger than {FILE_BYTES_MAX} bytes")));
            }
            let pem = fs::read(&file).map_err(|e| told(&e))?;
            let found = Self::from_pem(&pem).map_err(|what| told(&what))?;
            if found.is_empty() {
                return Err(told(&"no public key in PEM in it"));
            }
            keys.extend(found.0);
        }
        if keys.len() > KEYS_MAX {
            return Err(format!("{}: more than {KEYS_MAX} keys", path.display()));
        }
        Ok(Self(keys))
    }

    /// All keys that a text has; what is no key is passed over.
    ///
    /// # Errors
    /// What is wrong with a key.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let key = |der: Result<SubjectPublicKeyInfoDer<'_>, _>| {
            let der = der.map_err(|error: rustls::pki_types::pem::Error| error.to_string())?;
            ReleaseKey::read(&der)
        };
        let keys: Result<_, String> = SubjectPublicKeyInfoDer::pem_slice_iter(pem)
            .map(key)
            .collect();
        keys.map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of these keys has signed.
    pub(super) fn verify(&self, header: &BundleHeader) -> Result<(), SignatureError> {
        if self.is_empty() {
            return Err(SignatureError::NoKeys);
        }
        let id = &header.key_id;
        let key = self.0.iter().find(|key| key.id == *id);
        let key = key.ok_or_else(|| SignatureError::UnknownKey(id.clone()))?;
        let algorithms = default_provider().signature_verification_algorithms;
        let ed25519 = algorithms
            .all
            .iter()
            .find(|known| known.public_key_alg_id() == alg_id::ED25519);
        ed25519
            .and_then(|ed25519| {
                ed25519
                    .verify_signature(&key.bytes, header.signed(), &header.signature)
                    .ok()
            })
            .ok_or_else(|| SignatureError::Wrong(id.clone()))
    }
}

impl ReleaseKey {
    fn read(der: &SubjectPublicKeyInfoDer<'_>) -> Result<Self, String> {
        let bytes = der
            .as_ref()
            .strip_prefix(&ED25519_DER)
            .and_then(|key| <[u8; 32]>::try_from(key).ok())
            .ok_or("a public key of another kind than Ed25519")?;
        let mut id = hex::encode(Sha256::digest(der.as_ref()));
        id.truncate(KEY_ID_DIGITS);
        Ok(Self { id, bytes })
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if !fs::metadata(path).map_err(told)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(told)? {
        let file = entry.map_err(told)?.path();
        if file.extension().is_some_and(|end| end == "pem") {
            files.push(file);
        }
        if files.len() > FILES_MAX {
            return Err(format!("{}: more than {FILES_MAX} keys", path.display()));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::updates::tests::{Signer, bundle};

    #[test]
    fn keys_come_from_a_file_or_a_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let (one, two) = (Signer::new(), Signer::new());
        for (name, text) in [
            ("b.pem", one.public_pem()),
            ("a.pem", format!("{}{}", two.public_pem(), one.public_pem())),
            ("README", "no key".to_owned()),
        ] {
            fs::write(scratch.path().join(name), text).unwrap();
        }
        let keys = ReleaseKeys::read(scratch.path()).unwrap();
        let ids: Vec<_> = keys.0.iter().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, [two.id(), one.id(), one.id()]);
        let keys = ReleaseKeys::read(&scratch.path().join("b.pem")).unwrap();
        assert_eq!(keys.0.len(), 1);
        fs::write(scratch.path().join("c.pem"), "no key").unwrap();
        let fault = ReleaseKeys::read(scratch.path()).unwrap_err();
        assert!(fault.contains("c.pem: no public key"), "{fault}");
        let other = rcgen::KeyPair::generate().unwrap().public_key_pem();
        fs::write(scratch.path().join("c.pem"), other).unwrap();
        let fault = ReleaseKeys::read(scratch.path()).unwrap_err();
        assert!(fault.contains("another kind than Ed25519"), "{fault}");
        ReleaseKeys::read(&scratch.path().join("none")).unwrap_err();
        let empty = tempfile::tempdir().unwrap();
        assert!(ReleaseKeys::read(empty.path()).unwrap().is_empty());
    }

    #[test]
    fn only_a_signature_of_a_known_key_counts() {
        let (signer, stranger) = (Signer::new(), Signer::new());
        let made = bundle(&signer, "1.2.3", b"program");
        let header = BundleHeader::read(&made).unwrap();
        let keys = signer.keys();
        assert_eq!(keys.verify(&header), Ok(()));
        let none = ReleaseKeys::default().verify(&header);
        assert_eq!(none, Err(SignatureError::NoKeys));
        let unknown = stranger.keys().verify(&header);
        let id = signer.id().to_owned();
        assert_eq!(unknown, Err(SignatureError::UnknownKey(id.clone())));
        let changed = String::from_utf8(made).unwrap().replace("1.2.3", "1.2.4");
        let header = BundleHeader::read(changed.as_bytes()).unwrap();
        assert_eq!(keys.verify(&header), Err(SignatureError::Wrong(id)));
    }
}
