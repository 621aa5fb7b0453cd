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
pub(crate) use policy::{Purpose, Rights};
pub(crate) use service::{CredentialService, address, lacking};

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

    /// Whether the keys still work.
    fn lasts_at(self, now: Timestamp) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Limited { expires, .. } => now < expires,
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
pub(crate) enum CredentialsError {
    /// None are configured, or they are refused.
    #[error("{0}")]
    Refused(String),
    /// Control's store or sealing key; the log has the cause.
    #[error("control cannot read its own store: see control's log")]
    Internal,
}

impl CredentialsError {
    /// Logs a fault of control's own.
    fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "credentials cannot be read from the store");
        Self::Internal
    }
}

/// How to reach one location's store.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    Keys(Keys),
    Assume(RoleRequest),
}

/// Credentials got from STS, kept until they need replacing.
#[derive(Debug, Default)]
pub(crate) struct IssuedKeys {
    /// A location may be read for one task and written for another.
    by_use: Mutex<HashMap<(LocationArn, Purpose), (RoleRequest, Keys)>>,
}

/// Uses of locations whose keys are remembered; beyond it those whose life is over are dropped, then all.
const REMEMBERED_MAX: usize = 1024;

impl IssuedKeys {
    /// Keys for `location`: at hand, or from STS. If STS fails, those at hand serve until they
    /// expire.
    ///
    /// # Errors
    /// [`CredentialsError`]: STS refuses or cannot be reached, and there is nothing at hand.
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
        let at_hand = self.at_hand(location, &request).await;
        if let Some(keys) = at_hand.as_ref().filter(|keys| is_fresh(keys, now)) {
            return Ok(keys.clone());
        }
        let keys = match (sts.assume(&request, now).await, at_hand) {
            (Ok(keys), _) => keys,
            (Err(error), Some(keys)) if keys.life.lasts_at(now) => {
                tracing::warn!(%location, %error, "keys that still last are used on");
                return Ok(keys);
            }
            (Err(error), _) => return Err(error),
        };
        let mut by_use = self.by_use.lock().await;
        if by_use.len() >= REMEMBERED_MAX {
            by_use.retain(|_, (_, keys)| is_fresh(keys, now));
        }
        if by_use.len() >= REMEMBERED_MAX {
            by_use.clear();
        }
        let of = (location.clone(), request.purpose);
        by_use.insert(of, (request, keys.clone()));
        Ok(keys)
    }

    async fn at_hand(&self, location: &LocationArn, request: &RoleRequest) -> Option<Keys> {
        let by_use = self.by_use.lock().await;
        let (known, keys) = by_use.get(&(location.clone(), request.purpose))?;
        (known == request).then(|| keys.clone())
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

    fn request() -> RoleRequest {
        RoleRequest {
            role_arn: "arn:aws:iam::123456789012:role/sync".to_owned(),
            external_id: None,
            // Nothing listens there.
            sts_endpoint: Some("http://127.0.0.1:9".to_owned()),
            partition: "aws",
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            purpose: Purpose::Location(Rights::Write),
            location_id: "loc".to_owned(),
        }
    }

    #[tokio::test]
    async fn keys_that_still_last_serve_while_sts_is_away() {
        let key = aws_credential_types::Credentials::new("base", "base", None, None, "test");
        let sts = Sts::with_key("us-east-1".to_owned(), key).await;
        let location = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";
        let location: LocationArn = location.parse().unwrap();
        let mut keys = Keys::unlimited("AKID".to_owned(), Zeroizing::new("secret".to_owned()));
        keys.life = Life::Limited {
            issued: at(1000),
            expires: at(4600),
        };
        let issued = IssuedKeys::default();
        let known = (request(), keys.clone());
        let of = (location.clone(), request().purpose);
        issued.by_use.lock().await.insert(of, known);
        let resolve = async |request: RoleRequest, second: i64| {
            let access = Access::Assume(request);
            issued.resolve(&sts, &location, access, at(second)).await
        };
        assert_eq!(resolve(request(), 2000).await, Ok(keys.clone()));
        assert_eq!(resolve(request(), 4599).await, Ok(keys));
        let other = RoleRequest {
            prefix: "other/".to_owned(),
            ..request()
        };
        let to_read = RoleRequest {
            purpose: Purpose::Location(Rights::Read),
            ..request()
        };
        for (request, second) in [(request(), 4600), (other, 4599), (to_read, 4599)] {
            let error = resolve(request, second).await.unwrap_err();
            assert!(
                error.to_string().contains("Unable to assume role"),
                "{error}"
            );
        }
    }
}
