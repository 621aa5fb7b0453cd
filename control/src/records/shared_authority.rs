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
}

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
        })
    }

    /// # Errors
    /// [`SealError`] if it was sealed with another key.
    pub(crate) fn open_key(&self, sealer: &Sealer) -> Result<Zeroizing<String>, SealError> {
        sealer.open_secret(Self::KEY, &self.key)
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
