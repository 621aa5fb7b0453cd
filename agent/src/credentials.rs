//! Short-lived credentials per location: fed by the session, held in memory only.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use datasync_model::LocationArn;
use tokio::sync::watch;

/// Not used any more this long before they expire: a request signed with them may wait in a queue.
const MARGIN: Duration = Duration::from_secs(30);
/// How long one request waits for a refresh.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(20);
const LOCATIONS_MAX: usize = 1024;

/// What control sent for one location.
#[derive(Clone, Default)]
struct Held {
    granted: Option<Credentials>,
    /// Control's words since then; they count once nothing granted is usable.
    denied: Option<String>,
}

impl Held {
    fn availability(&self, now: SystemTime) -> Availability {
        match (self.usable(now), &self.denied) {
            (Some(credentials), _) => Availability::Usable(credentials.expiry()),
            (None, Some(reason)) => Availability::Denied(reason.clone()),
            (None, None) => Availability::Missing,
        }
    }

    fn usable(&self, now: SystemTime) -> Option<&Credentials> {
        self.granted
            .as_ref()
            .filter(|credentials| is_usable(credentials, now))
    }
}

/// The answer to "can this location be used now".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Availability {
    /// Until the moment given, if they expire.
    Usable(Option<SystemTime>),
    /// None came, or they expired.
    Missing,
    /// Control could not get any; its own words.
    Denied(String),
}

/// Who hands out credentials: failures say whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Giver {
    /// The control plane, over the session.
    Control,
    /// The environment and the files of the AWS tools.
    Environment,
}

impl Giver {
    /// What is wrong when there are none.
    pub(crate) fn has_none(self) -> &'static str {
        match self {
            Self::Control => "control has sent no valid credentials",
            Self::Environment => "they expired, and no others were found",
        }
    }

    /// Where to put some.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Control => "give control a key or role for it",
            Self::Environment => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile by --profile \
                 or AWS_PROFILE"
            }
        }
    }

    /// What to look at when the store does not accept them.
    pub(crate) fn suspects(self) -> &'static str {
        match self {
            Self::Control => "check the key or role that control holds for this location",
            Self::Environment => "check the access key, its secret and the session token",
        }
    }
}

/// Credentials of all locations. Clones share their content; `Debug` shows none.
#[derive(Clone)]
pub(crate) struct CredentialStore {
    held: Arc<watch::Sender<HashMap<String, Held>>>,
    giver: Giver,
}

impl fmt::Debug for CredentialStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialStore").finish_non_exhaustive()
    }
}

impl CredentialStore {
    pub(crate) fn new(giver: Giver) -> Self {
        Self {
            held: Arc::new(watch::Sender::new(HashMap::new())),
            giver,
        }
    }

    pub(crate) fn giver(&self) -> Giver {
        self.giver
    }

    /// Takes what control sent.
    pub(crate) fn accept(&self, message: datasync_proto::Credentials) {
        if message.error_detail.is_empty() {
            let expires = u64::try_from(message.expires_at_seconds)
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            let token = Some(message.session_token).filter(|token| !token.is_empty());
            let granted = Credentials::new(
                message.access_key_id,
                message.secret_access_key,
                token,
                expires,
                "control",
            );
            self.grant(message.location_arn, granted);
        } else {
            tracing::warn!(
                location_arn = message.location_arn,
                reason = message.error_detail,
                "control has no credentials for a location"
            );
            self.change(message.location_arn, |held| {
                held.denied = Some(message.error_detail);
            });
        }
    }

    /// Puts credentials in place of those that a location has.
    pub(crate) fn grant(&self, location: String, credentials: Credentials) {
        self.change(location, |held| {
            *held = Held {
                granted: Some(credentials),
                denied: None,
            };
        });
    }

    fn change(&self, location: String, change: impl FnOnce(&mut Held)) {
        self.held.send_modify(|all| {
            if all.len() < LOCATIONS_MAX || all.contains_key(&location) {
                change(all.entry(location).or_default());
            } else {
                tracing::error!("credentials of more than {LOCATIONS_MAX} locations; ignored");
            }
        });
    }

    /// Forgets those of one location.
    pub(crate) fn forget(&self, location: &LocationArn) {
        self.held.send_modify(|all| {
            all.remove(&location.to_string());
        });
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.held.send_modify(HashMap::clear);
    }

    pub(crate) fn availability(&self, location: &LocationArn, now: SystemTime) -> Availability {
        self.held
            .borrow()
            .get(&location.to_string())
            .map_or(Availability::Missing, |held| held.availability(now))
    }

    /// Told of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<impl Sized + use<>> {
        self.held.subscribe()
    }

    /// A provider for one location that waits for a refresh when it must.
    pub(crate) fn provider(&self, location: &LocationArn) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(LocationCredentials {
            store: self.clone(),
            location: location.clone(),
        })
    }

    async fn usable(&self, location: &LocationArn) -> Result<Credentials, CredentialsError> {
        let key = location.to_string();
        let mut changes = self.held.subscribe();
        let waited = tokio::time::timeout(REFRESH_TIMEOUT, async {
            loop {
                let held = changes.borrow_and_update().get(&key).cloned();
                let held = held.unwrap_or_default();
                if let Some(credentials) = held.usable(SystemTime::now()) {
                    return Ok(credentials.clone());
                }
                if let Some(reason) = held.denied {
                    return Err(CredentialsError::provider_error(reason));
                }
                if changes.changed().await.is_err() {
                    return Err(CredentialsError::not_loaded_no_source());
                }
            }
        });
        waited
            .await
            .unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(REFRESH_TIMEOUT)))
    }
}

fn is_usable(credentials: &Credentials, now: SystemTime) -> bool {
    credentials
        .expiry()
        .is_none_or(|expiry| now + MARGIN < expiry)
}

/// When the credentials that expire at `expiry` stop being used.
pub(crate) fn last_use(expiry: SystemTime) -> SystemTime {
    expiry.checked_sub(MARGIN).unwrap_or(UNIX_EPOCH)
}

#[derive(Debug)]
struct LocationCredentials {
    store: CredentialStore,
    location: LocationArn,
}

impl ProvideCredentials for LocationCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.store.usable(&self.location))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";

    fn message(secret: &str, expires_at_seconds: i64) -> datasync_proto::Credentials {
        datasync_proto::Credentials {
            location_arn: ARN.to_owned(),
            access_key_id: "AKIDTEST".to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: String::new(),
            expires_at_seconds,
            error_detail: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_credentials_and_for_their_refresh() {
        let store = CredentialStore::new(Giver::Control);
        let arn = ARN.parse().unwrap();
        let provider = store.provider(&arn);
        store.accept(message("expired", 1));
        assert_eq!(
            store.availability(&arn, SystemTime::now()),
            Availability::Missing
        );
        let refresh = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            store.accept(message("fresh", 0));
        };
        let (credentials, ()) = tokio::join!(provider.provide_credentials(), refresh);
        assert_eq!(credentials.unwrap().secret_access_key(), "fresh");
        assert_eq!(
            store.availability(&arn, SystemTime::now()),
            Availability::Usable(None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_bounded_and_a_denial_is_passed_on() {
        let store = CredentialStore::new(Giver::Control);
        let arn = ARN.parse().unwrap();
        let provider = store.provider(&arn);
        let error = provider.provide_credentials().await.unwrap_err();
        assert!(matches!(error, CredentialsError::ProviderTimedOut(_)));
        store.accept(datasync_proto::Credentials {
            error_detail: "role is unknown".to_owned(),
            ..message("", 0)
        });
        let error = provider.provide_credentials().await.unwrap_err();
        assert!(matches!(error, CredentialsError::ProviderError(_)));
        assert_eq!(
            store.availability(&arn, SystemTime::now()),
            Availability::Denied("role is unknown".to_owned())
        );
    }

    #[tokio::test]
    async fn a_denial_counts_once_what_was_granted_is_not_usable() {
        let store = CredentialStore::new(Giver::Control);
        let arn = ARN.parse().unwrap();
        let expiry = SystemTime::now() + Duration::from_secs(3600);
        let seconds = expiry.duration_since(UNIX_EPOCH).unwrap().as_secs();
        store.accept(message("good", i64::try_from(seconds).unwrap()));
        store.accept(datasync_proto::Credentials {
            error_detail: "away".to_owned(),
            ..message("", 0)
        });
        let provided = store.provider(&arn).provide_credentials().await.unwrap();
        assert_eq!(provided.secret_access_key(), "good");
        let now = SystemTime::now();
        let usable = Availability::Usable(Some(UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(store.availability(&arn, now), usable);
        let denied = Availability::Denied("away".to_owned());
        assert_eq!(store.availability(&arn, expiry), denied);
        store.accept(message("fresh", 0));
        assert_eq!(store.availability(&arn, expiry), Availability::Usable(None));
    }

    #[test]
    fn nothing_shows_the_secret() {
        let store = CredentialStore::new(Giver::Control);
        store.accept(message("canary-secret", 0));
        let provider = store.provider(&ARN.parse().unwrap());
        let shown = format!("{store:?} {provider:?} {:?}", message("canary-secret", 0));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
