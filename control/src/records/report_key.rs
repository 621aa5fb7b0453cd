//! Keys that control countersigns task reports with.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::{Place, Record, SealError, Sealed, Sealer};

/// A key pair. One is in use, the others are retired: they sign nothing more, and their public keys
/// stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportKey {
    /// SHA-256 of the DER of the public key, hexadecimal.
    pub(crate) key_id: String,
    /// PEM of an ECDSA P-256 `SubjectPublicKeyInfo`.
    pub(crate) public_key_pem: String,
    /// Gone once the key is retired.
    private_key: Option<Sealed>,
    pub(crate) created_at_ms: i64,
    pub(crate) retired_at_ms: Option<i64>,
}

impl ReportKey {
    /// # Errors
    /// [`SealError`] if there is no randomness.
    pub(crate) fn new(
        sealer: &Sealer,
        (key_id, public_key_pem): (String, String),
        private_key_pem: &str,
        now_ms: i64,
    ) -> Result<Self, SealError> {
        let private_key = sealer.seal(place(&key_id), private_key_pem)?;
        Ok(Self {
            key_id,
            public_key_pem,
            private_key: Some(private_key),
            created_at_ms: now_ms,
            retired_at_ms: None,
        })
    }

    /// PEM of the private key; `None` of one that is retired.
    ///
    /// # Errors
    /// [`SealError::CannotOpen`] with another sealing key.
    pub(crate) fn open(&self, sealer: &Sealer) -> Result<Option<Zeroizing<String>>, SealError> {
        let sealed = self.private_key.as_ref();
        sealed
            .map(|sealed| sealer.open_secret(place(&self.key_id), sealed))
            .transpose()
    }

    /// The same key, out of use.
    pub(crate) fn retire(&mut self, now_ms: i64) {
        self.private_key = None;
        self.retired_at_ms = Some(now_ms.max(self.created_at_ms));
    }

    pub(crate) fn is_in_use(&self) -> bool {
        self.private_key.is_some()
    }

    pub(super) fn sealed(&self) -> Option<(Place<'_>, &Sealed)> {
        let sealed = self.private_key.as_ref()?;
        Some((place(&self.key_id), sealed))
    }

    pub(super) fn set_sealed(&mut self, sealed: Sealed) {
        self.private_key = Some(sealed);
    }
}

fn place(id: &str) -> Place<'_> {
    Place {
        kind: ReportKey::KIND,
        id,
        field: "private-key",
    }
}

impl Record for ReportKey {
    const KIND: &'static str = "report-key";

    fn id(&self) -> String {
        self.key_id.clone()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
