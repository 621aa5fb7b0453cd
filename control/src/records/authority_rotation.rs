//! A CA that is to take the place of the present one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ca::rotation::{Stage, Standing};
use crate::store::{Place, Record, SealError, Sealed, Sealer};

/// There is one while a rotation is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuthorityRotation {
    stage: Stage,
    since_ms: i64,
    /// When the next CA was introduced.
    pub(crate) began_ms: i64,
    /// The next CA's, PEM.
    pub(crate) certificate_pem: String,
    key: Sealed,
}

impl AuthorityRotation {
    /// There is one.
    pub(crate) const ID: &'static str = "rotation";
    const KEY: Place<'static> = Place {
        kind: Self::KIND,
        id: Self::ID,
        field: "key",
    };

    /// # Errors
    /// [`SealError`] if the key cannot be sealed.
    pub(crate) fn introduce(
        sealer: &Sealer,
        key_pem: &str,
        certificate_pem: String,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        Ok(Self {
            stage: Stage::Introduced,
            since_ms: now.as_millisecond(),
            began_ms: now.as_millisecond(),
            certificate_pem,
            key: sealer.seal(Self::KEY, key_pem)?,
        })
    }

    /// The next CA issues from `now` on.
    pub(crate) fn let_issue(&mut self, now: Timestamp) {
        self.stage = Stage::Issuing;
        self.since_ms = now.as_millisecond();
    }

    /// Makes its stage look older.
    #[cfg(test)]
    pub(crate) fn age(&mut self, by_ms: i64) {
        self.since_ms -= by_ms;
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            stage: self.stage,
            since: Timestamp::from_millisecond(self.since_ms).unwrap_or_default(),
        }
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

impl Record for AuthorityRotation {
    const KIND: &'static str = "authority-rotation";

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
