//! Keys of S3-compatible stores, kept for a role ARN.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::{Place, Record, SealError, Sealed, Sealer};

/// What a role of kind `sealed-key` stands for; set by `datasync-control role set-key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleKey {
    /// The role ARN that locations name.
    pub(crate) role_arn: String,
    /// The store's access key id.
    pub(crate) access_key_id: String,
    /// The store's secret access key.
    pub(crate) secret: Sealed,
    /// Base URL of the store; `None` means AWS.
    pub(crate) endpoint: Option<String>,
    /// Region to sign for; `None` means control's own.
    pub(crate) region: Option<String>,
    /// When it was set.
    pub(crate) created_at_ms: i64,
}

impl RoleKey {
    /// Seals `secret` for the role.
    ///
    /// # Errors
    /// [`SealError`] if there is no randomness.
    pub(crate) fn seal(sealer: &Sealer, role_arn: &str, secret: &str) -> Result<Sealed, SealError> {
        sealer.seal(place(role_arn), secret)
    }

    /// The secret access key in the clear.
    ///
    /// # Errors
    /// [`SealError::CannotOpen`] with another sealing key.
    pub(crate) fn open_secret(&self, sealer: &Sealer) -> Result<Zeroizing<String>, SealError> {
        sealer.open_secret(place(&self.role_arn), &self.secret)
    }
    pub(super) fn sealed(&self) -> Option<(Place<'_>, &Sealed)> {
        Some((place(&self.role_arn), &self.secret))
    }

    pub(super) fn set_sealed(&mut self, sealed: Sealed) {
        self.secret = sealed;
    }
}

fn place(id: &str) -> Place<'_> {
    Place {
        kind: RoleKey::KIND,
        id,
        field: "secret",
    }
}

impl Record for RoleKey {
    const KIND: &'static str = "role-key";

    fn id(&self) -> String {
        self.role_arn.clone()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
