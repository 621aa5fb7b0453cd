//! Keys that clients sign with.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::{Place, Record, SealError, Sealed, Sealer};

/// An access key; made by `datasync-control access-key create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessKey {
    /// `AKIA…`
    pub(crate) access_key_id: String,
    /// The secret access key.
    pub(crate) secret: Sealed,
    /// What the key is for.
    pub(crate) description: Option<String>,
    /// A disabled key signs nothing, but stays listed.
    pub(crate) disabled: bool,
    /// When it was made.
    pub(crate) created_at_ms: i64,
}

impl AccessKey {
    /// A new key with its secret sealed.
    ///
    /// # Errors
    /// [`SealError`] if there is no randomness.
    pub(crate) fn new(
        sealer: &Sealer,
        access_key_id: String,
        secret: &str,
        description: Option<String>,
        now_ms: i64,
    ) -> Result<Self, SealError> {
        let secret = sealer.seal(place(&access_key_id), secret)?;
        Ok(Self {
            access_key_id,
            secret,
            description,
            disabled: false,
            created_at_ms: now_ms,
        })
    }

    /// The secret access key in the clear.
    ///
    /// # Errors
    /// [`SealError::CannotOpen`] with another sealing key.
    pub(crate) fn open_secret(&self, sealer: &Sealer) -> Result<Zeroizing<String>, SealError> {
        sealer.open_secret(place(&self.access_key_id), &self.secret)
    }
}

fn place(id: &str) -> Place<'_> {
    Place {
        kind: AccessKey::KIND,
        id,
        field: "secret",
    }
}

impl Record for AccessKey {
    const KIND: &'static str = "access-key";

    fn id(&self) -> String {
        self.access_key_id.clone()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
