//! What the tests of updates share, and the sweep of crashes.

mod crashes;
mod refusals;

use datasync_proto::{BUNDLE_FORMAT, BundleManifest, KEY_ID_DIGITS};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use sha2::{Digest, Sha256};

use super::ReleaseKeys;

/// Somebody who makes releases.
pub(super) struct Signer {
    key: KeyPair,
    id: String,
}

impl Signer {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut id = hex::encode(Sha256::digest(key.subject_public_key_info()));
        id.truncate(KEY_ID_DIGITS);
        Self { key, id }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn public_pem(&self) -> String {
        self.key.public_key_pem()
    }

    pub(super) fn keys(&self) -> ReleaseKeys {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key.pem");
        std::fs::write(&path, self.public_pem()).unwrap();
        ReleaseKeys::read(&path).unwrap()
    }
}

pub(super) fn manifest(version: &str, program: &[u8]) -> BundleManifest {
    BundleManifest {
        product: "datasync-agent".to_owned(),
        version: version.parse().unwrap(),
        architecture: std::env::consts::ARCH.to_owned(),
        size: program.len() as u64,
        sha256: hex::encode(Sha256::digest(program)),
        made_at: "2026-11-26T00:00:00Z".to_owned(),
    }
}

/// The signed lines over any manifest.
pub(super) fn lines(signer: &Signer, manifest: &BundleManifest) -> Vec<u8> {
    let manifest = serde_json::to_string(manifest).unwrap();
    let signed = format!("{BUNDLE_FORMAT}\n{manifest}\n");
    let signature = hex::encode(signer.key.sign(signed.as_bytes()).unwrap());
    format!("{signed}{} {signature}\n", signer.id).into_bytes()
}

pub(super) fn bundle(signer: &Signer, version: &str, program: &[u8]) -> Vec<u8> {
    let lines = lines(signer, &manifest(version, program));
    [&lines, program].concat()
}
