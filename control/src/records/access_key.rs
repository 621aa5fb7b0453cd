//! Keys that clients sign with.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::{Place, Record, SealError, Sealed, Sealer};

/// What an access key may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Every operation.
    #[default]
    Full,
    /// The operations that describe and list.
    ReadOnly,
}

impl Access {
    /// Whether `operation` of the API is allowed.
    pub(crate) fn allows(self, operation: &str) -> bool {
        match self {
            Self::Full => true,
            Self::ReadOnly => operation.starts_with("Describe") || operation.starts_with("List"),
        }
    }
}

/// An access key; made by `datasync-control access-key create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessKey {
    /// `AKIA…`
    pub(crate) access_key_id: String,
    /// The secret access key.
    pub(crate) secret: Sealed,
    /// What the key is called.
    #[serde(alias = "description")]
    pub(crate) name: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub(crate) access: Access,
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
        name: Option<String>,
        access: Access,
        now_ms: i64,
    ) -> Result<Self, SealError> {
        let secret = sealer.seal(place(&access_key_id), secret)?;
        Ok(Self {
            access_key_id,
            secret,
            name,
            access,
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
    pub(super) fn sealed(&self) -> Option<(Place<'_>, &Sealed)> {
        Some((place(&self.access_key_id), &self.secret))
    }

    pub(super) fn set_sealed(&mut self, sealed: Sealed) {
        self.secret = sealed;
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
