//! Credentials for stores: from sealed keys or from STS, handed to agents for a short time, and
//! never logged.

mod bucket;
mod policy;
mod service;
mod sts;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use datasync_model::LocationArn;
use jiff::Timestamp;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

pub(crate) use bucket::BucketTest;
pub(crate) use service::{CredentialService, address};

use bucket::test_bucket;
use sts::{RoleRequest, Sts};

/// An access key as stores take it. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Zeroizing<String>,
    pub(crate) session_token: Option<Zeroizing<String>>,
    pub(crate) life: Life,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// How long keys are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Unlimited,
    Limited {
        issued: Timestamp,
        expires: Timestamp,
    },
}

impl Life {
    /// When to replace the keys: with a third of their life left, so that a run that is cut off
    /// from control just then still has a while.
    pub(crate) fn refresh_at(self) -> Option<Timestamp> {
        match self {
            Self::Unlimited => None,
            Self::Limited { issued, expires } => {
                let life = Duration::try_from(expires.duration_since(issued)).unwrap_or_default();
                Some(expires - life / 3)
            }
        }
    }

    /// When the keys stop working; 0 means never, as the protocol has it.
    pub(crate) fn expires_at_seconds(self) -> i64 {
        match self {
            Self::Unlimited => 0,
            Self::Limited { expires, .. } => expires.as_second(),
        }
    }
}

impl Keys {
    /// Keys that last until somebody revokes them.
    pub(crate) fn unlimited(access_key_id: String, secret_access_key: Zeroizing<String>) -> Self {
        Self {
            access_key_id,
            secret_access_key,
            session_token: None,
            life: Life::Unlimited,
        }
    }
}

/// Why there are no credentials for a location. The text goes to clients; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CredentialsError(pub(crate) String);

/// How to reach one location's store.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    Keys(Keys),
    Assume(RoleRequest),
}

/// Credentials got from STS, kept until they need replacing.
#[derive(Debug, Default)]
pub(crate) struct IssuedKeys {
    by_location: Mutex<HashMap<LocationArn, (RoleRequest, Keys)>>,
}

/// Locations whose keys are remembered; beyond it those whose life is over are dropped, then all.
const REMEMBERED_MAX: usize = 1024;

impl IssuedKeys {
    /// Keys for `location`: at hand, or from STS.
    ///
    /// # Errors
    /// [`CredentialsError`]: STS refuses or cannot be reached.
    pub(crate) async fn resolve(
        &self,
        sts: &Sts,
        location: &LocationArn,
        access: Access,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        let request = match access {
            Access::Keys(keys) => return Ok(keys),
            Access::Assume(request) => request,
        };
        if let Some((known, keys)) = self.by_location.lock().await.get(location)
            && *known == request
            && is_fresh(keys, now)
        {
            return Ok(keys.clone());
        }
        let keys = sts.assume(&request, now).await?;
        let mut by_location = self.by_location.lock().await;
        if by_location.len() >= REMEMBERED_MAX {
            by_location.retain(|_, (_, keys)| is_fresh(keys, now));
        }
        if by_location.len() >= REMEMBERED_MAX {
            by_location.clear();
        }
        by_location.insert(location.clone(), (request, keys.clone()));
        Ok(keys)
    }
}

fn is_fresh(keys: &Keys, now: Timestamp) -> bool {
    keys.life.refresh_at().is_none_or(|at| now < at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn keys_are_replaced_with_a_third_of_their_life_left() {
        let life = Life::Limited {
            issued: at(1000),
            expires: at(4600),
        };
        assert_eq!(life.refresh_at(), Some(at(3400)));
        assert_eq!(life.expires_at_seconds(), 4600);
        assert_eq!(Life::Unlimited.refresh_at(), None);
        assert_eq!(Life::Unlimited.expires_at_seconds(), 0);
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = Keys::unlimited(
            "AKIDCANARY".to_owned(),
            Zeroizing::new("SECRETCANARY".to_owned()),
        );
        let shown = format!("{keys:?} {:?}", Access::Keys(keys.clone()));
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}
