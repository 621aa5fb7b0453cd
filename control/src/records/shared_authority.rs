//! The CA of replicas that share a database.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::{Place, Record, SealError, Sealed, Sealer};

/// The one CA, its key sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SharedAuthority {
    /// PEM.
    pub(crate) certificate_pem: String,
    key: Sealed,
    /// Fingerprints of the CAs whose place it and those before it took: state directories may
    /// still hold one of them.
    #[serde(default)]
    replaced: Vec<String>,
}

/// Former CAs that are remembered.
const REPLACED_MAX: usize = 16;

impl SharedAuthority {
    /// There is one.
    pub(crate) const ID: &'static str = "authority";
    const KEY: Place<'static> = Place {
        kind: Self::KIND,
        id: Self::ID,
        field: "key",
    };

    /// # Errors
    /// [`SealError`] if the key cannot be sealed.
    pub(crate) fn new(
        sealer: &Sealer,
        key_pem: &str,
        certificate_pem: &str,
    ) -> Result<Self, SealError> {
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key: sealer.seal(Self::KEY, key_pem)?,
            replaced: Vec::new(),
        })
    }

    /// The next CA, which takes the place of this one.
    ///
    /// # Errors
    /// [`SealError`] if the key cannot be sealed.
    pub(crate) fn followed_by(
        &self,
        fingerprint: String,
        sealer: &Sealer,
        key_pem: &str,
        certificate_pem: &str,
    ) -> Result<Self, SealError> {
        let mut replaced = self.replaced.clone();
        replaced.push(fingerprint);
        let forgotten = replaced.len().saturating_sub(REPLACED_MAX);
        replaced.drain(..forgotten);
        Ok(Self {
            replaced,
            ..Self::new(sealer, key_pem, certificate_pem)?
        })
    }

    /// Whether the CA with this fingerprint was here before.
    pub(crate) fn has_replaced(&self, fingerprint: &str) -> bool {
        self.replaced.iter().any(|replaced| replaced == fingerprint)
    }

    /// # Errors
    /// [`SealError`] if it was sealed with another key.
    pub(crate) fn open_key(&self, sealer: &Sealer) -> Result<Zeroizing<String>, SealError> {
        sealer.open_secret(Self::KEY, &self.key)
    }
    pub(super) fn sealed(&self) -> Option<(Place<'_>, &Sealed)> {
        Some((Self::KEY, &self.key))
    }

    pub(super) fn set_sealed(&mut self, sealed: Sealed) {
        self.key = sealed;
    }
}

impl Record for SharedAuthority {
    const KIND: &'static str = "authority";

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
