//! Every kind of record that holds a secret, and how it gets under another sealing key.

use super::{AccessKey, AuthorityRotation, Location, ReportKey, RoleKey, SharedAuthority};
use crate::store::{Record, SealError, Sealer};

/// A record with a sealed secret.
pub(crate) trait HoldsSecret: Record {
    /// Seals the secret with the present key; whether that was needed.
    ///
    /// # Errors
    /// [`SealError`]: no known key opens it.
    fn seal_anew(&mut self, sealer: &Sealer) -> Result<bool, SealError>;
}

/// Runs a generic function for each kind that holds secrets: a new kind goes here.
macro_rules! for_each_kind_with_secrets {
    ($call:ident($($argument:expr),*)) => {{
        $call::<$crate::records::AccessKey>($($argument),*).await?;
        $call::<$crate::records::RoleKey>($($argument),*).await?;
        $call::<$crate::records::Location>($($argument),*).await?;
        $call::<$crate::records::SharedAuthority>($($argument),*).await?;
        $call::<$crate::records::AuthorityRotation>($($argument),*).await?;
        $call::<$crate::records::ReportKey>($($argument),*).await?;
    }};
}
pub(crate) use for_each_kind_with_secrets;

macro_rules! holds_secret {
    ($($record:ty),+) => {$(
        impl HoldsSecret for $record {
            fn seal_anew(&mut self, sealer: &Sealer) -> Result<bool, SealError> {
                let Some((place, sealed)) = self.sealed() else {
                    return Ok(false);
                };
                let anew = sealer.seal_anew(place, sealed)?;
                let is_needed = anew.is_some();
                if let Some(anew) = anew {
                    self.set_sealed(anew);
                }
                Ok(is_needed)
            }
        }
    )+};
}
holds_secret!(
    AccessKey,
    AuthorityRotation,
    Location,
    ReportKey,
    RoleKey,
    SharedAuthority
);
