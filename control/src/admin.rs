//! What an administrator does beside the API: keys for clients, for agents, for roles. Works on
//! the state directory, also while control serves from it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::ca::{AuthoritiesError, Authority};
use crate::config::is_role_arn;
use crate::enrollment::{EnrollmentError, Origin, issue};
use crate::records::{Access, AccessKey, RoleKey};
use crate::reports::{PublishedKeys, SigningError, published, rotated};
use crate::state::{State, StateError, StatePlace};
use crate::store::{SealError, StoreError};

/// Why an administrator's wish is not met.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AdminError(String);

impl AdminError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

macro_rules! admin_errors {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for AdminError {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )+};
}
admin_errors!(
    AuthoritiesError,
    EnrollmentError,
    SealError,
    SigningError,
    StateError,
    StoreError
);

/// A new access key for clients. `Debug` does not show the secret.
#[derive(Clone)]
pub struct NewAccessKey {
    /// `AKIA…`
    pub access_key_id: String,
    /// Shown once; control keeps it sealed.
    pub secret_access_key: Zeroizing<String>,
}

impl std::fmt::Debug for NewAccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccessKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// An activation key issued beforehand.
#[derive(Debug, Clone)]
pub struct NewActivationKey {
    /// The key: a secret until it is claimed.
    pub key: datasync_model::ActivationKey,
    /// When it dies, in seconds since 1970.
    pub expires_at_seconds: i64,
}

/// A key of an S3-compatible store, to be used for a role ARN.
pub struct RoleKeySetting {
    /// The role that locations name.
    pub role_arn: String,
    /// The store's access key id.
    pub access_key_id: String,
    /// The store's secret access key.
    pub secret_access_key: Zeroizing<String>,
    /// Base URL of the store; `None` means AWS.
    pub endpoint: Option<String>,
    /// Region to sign for; `None` means control's own.
    pub region: Option<String>,
}

impl std::fmt::Debug for RoleKeySetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleKeySetting")
            .field("role_arn", &self.role_arn)
            .finish_non_exhaustive()
    }
}

/// An access key as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyEntry {
    /// `AKIA…`
    pub access_key_id: String,
    /// What it is called.
    pub name: Option<String>,
    /// What it may do.
    pub access: Access,
    /// Whether it no longer signs anything.
    pub disabled: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
}

const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn random<const N: usize>() -> Result<[u8; N], AdminError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| AdminError(format!("the system's random source failed: {error}")))?;
    Ok(bytes)
}

fn open(place: impl Into<StatePlace>) -> Result<State, AdminError> {
    Ok(State::open(place, Timestamp::now())?)
}

/// Makes an access key that clients sign with. Refusals call it by its name, in the form of an IAM
/// user, so a name is one of IAM: 1 to 64 letters, digits and `+=,.@_-`.
///
/// # Errors
/// [`AdminError`]: no such name is possible, or the state directory cannot be used.
pub async fn create_access_key(
    place: impl Into<StatePlace>,
    name: Option<String>,
    access: Access,
) -> Result<NewAccessKey, AdminError> {
    if let Some(name) = &name {
        check_key_name(name)?;
    }
    let state = open(place)?;
    let id: String = random::<16>()?
        .iter()
        .map(|byte| char::from(ID_ALPHABET[usize::from(byte & 31)]))
        .collect();
    let access_key_id = format!("AKIA{id}");
    let secret = Zeroizing::new(STANDARD.encode(*Zeroizing::new(random::<30>()?)));
    let now_ms = Timestamp::now().as_millisecond();
    let record = AccessKey::new(
        &state.sealer,
        access_key_id.clone(),
        &secret,
        name,
        access,
        now_ms,
    )?;
    state
        .store
        .commit(move |rows| rows.insert(&record))
        .await
        .map_err(|error: StoreError| AdminError::from(error))?;
    Ok(NewAccessKey {
        access_key_id,
        secret_access_key: secret,
    })
}

/// Every access key, without secrets.
///
/// # Errors
/// [`AdminError`]: the state directory cannot be used.
pub async fn list_access_keys(
    place: impl Into<StatePlace>,
) -> Result<Vec<AccessKeyEntry>, AdminError> {
    let state = open(place)?;
    let rows = state
        .store
        .read(|rows| rows.list::<AccessKey>(None, usize::MAX))
        .await
        .map_err(|error: StoreError| AdminError::from(error))?;
    Ok(rows
        .into_iter()
        .map(|row| AccessKeyEntry {
            access_key_id: row.record.access_key_id,
            name: row.record.name,
            access: row.record.access,
            disabled: row.record.disabled,
            created_at_ms: row.record.created_at_ms,
        })
        .collect())
}

/// Takes an access key out of use.
///
/// # Errors
/// [`AdminError`]: no such key, or the state directory cannot be used.
pub async fn disable_access_key(
    place: impl Into<StatePlace>,
    id: String,
) -> Result<(), AdminError> {
    let state = open(place)?;
    state
        .store
        .commit(move |rows| {
            let mut row = rows
                .get::<AccessKey>(&id)?
                .ok_or_else(|| AdminError(format!("there is no access key {id}")))?;
            row.record.disabled = true;
            Ok(rows.update(&row)?)
        })
        .await
}

/// Deletes an access key: it signs nothing more and is no longer listed.
///
/// # Errors
/// [`AdminError`]: no such key, or the state directory cannot be used.
pub async fn delete_access_key(place: impl Into<StatePlace>, id: String) -> Result<(), AdminError> {
    let state = open(place)?;
    state
        .store
        .commit(move |rows| {
            let row = rows
                .get::<AccessKey>(&id)?
                .ok_or_else(|| AdminError(format!("there is no access key {id}")))?;
            Ok(rows.delete::<AccessKey>(&id, row.version)?)
        })
        .await
}

fn check_key_name(name: &str) -> Result<(), AdminError> {
    let is_of_iam = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(is_of_iam) {
        return Ok(());
    }
    Err(AdminError(format!(
        "{name:?} cannot be a key's name: it has 1 to 64 letters, digits and +=,.@_-"
    )))
}

/// Issues an activation key for a machine that will claim it. With a name, the claim makes the
/// agent; otherwise CreateAgent does.
///
/// # Errors
/// [`AdminError`]: a bad name, too many keys, or the state directory cannot be used.
pub async fn create_activation_key(
    place: impl Into<StatePlace>,
    agent_name: Option<String>,
) -> Result<NewActivationKey, AdminError> {
    if let Some(name) = &agent_name
        && !(1..=256).contains(&name.chars().count())
    {
        return Err(AdminError(
            "the agent's name must have 1 to 256 characters".to_owned(),
        ));
    }
    let state = open(place)?;
    let new = issue(
        &state.store,
        Origin::Operator { agent_name },
        Timestamp::now(),
    )
    .await?;
    Ok(NewActivationKey {
        key: new.key,
        expires_at_seconds: new.expires.as_second(),
    })
}

/// Sets or replaces the key behind a role ARN.
///
/// # Errors
/// [`AdminError`]: a bad ARN, endpoint or key, or the state directory cannot be used.
pub async fn set_role_key(
    place: impl Into<StatePlace>,
    setting: RoleKeySetting,
) -> Result<(), AdminError> {
    check_role_key(&setting)?;
    let state = open(place)?;
    let record = RoleKey {
        secret: RoleKey::seal(&state.sealer, &setting.role_arn, &setting.secret_access_key)?,
        role_arn: setting.role_arn,
        access_key_id: setting.access_key_id,
        endpoint: setting.endpoint,
        region: setting.region,
        created_at_ms: Timestamp::now().as_millisecond(),
    };
    state
        .store
        .commit(move |rows| match rows.get::<RoleKey>(&record.role_arn)? {
            Some(mut row) => {
                row.record = record;
                rows.update(&row)
            }
            None => rows.insert(&record),
        })
        .await
        .map_err(|error: StoreError| AdminError::from(error))
}

fn check_role_key(setting: &RoleKeySetting) -> Result<(), AdminError> {
    if !is_role_arn(&setting.role_arn) {
        return Err(AdminError(format!(
            "{:?} is not a role ARN: it must look like arn:aws:iam::123456789012:role/name",
            setting.role_arn
        )));
    }
    if let Some(endpoint) = &setting.endpoint
        && !(endpoint.starts_with("https://") || endpoint.starts_with("http://"))
    {
        return Err(AdminError(format!(
            "endpoint {endpoint:?} must begin with https:// or http://"
        )));
    }
    if setting.access_key_id.is_empty() || setting.secret_access_key.is_empty() {
        return Err(AdminError(
            "access key id and secret access key must not be empty".to_owned(),
        ));
    }
    Ok(())
}

/// The public keys that task reports are verified with.
///
/// # Errors
/// [`AdminError`]: the state directory cannot be used.
pub(crate) async fn report_keys(place: impl Into<StatePlace>) -> Result<PublishedKeys, AdminError> {
    let state = open(place)?;
    let keys = state.store.read(published).await;
    keys.map_err(|error: StoreError| AdminError::from(error))
}

/// Retires the key that task reports are countersigned with and makes another one, whose id it gives.
///
/// # Errors
/// [`AdminError`]: the state directory cannot be used.
pub(crate) async fn rotate_report_key(place: impl Into<StatePlace>) -> Result<String, AdminError> {
    let state = open(place)?;
    let (sealer, now) = (state.sealer.clone(), Timestamp::now());
    let rotated = state.store.commit(move |rows| rotated(rows, &sealer, now));
    let rotated: Result<String, SigningError> = rotated.await;
    Ok(rotated?)
}

/// The certificate of the CA as PEM and its SHA-256 fingerprint; two of them while another CA takes
/// its place.
///
/// # Errors
/// [`AdminError`]: the state directory cannot be used.
pub async fn show_ca(place: impl Into<StatePlace>) -> Result<Vec<(String, String)>, AdminError> {
    let state = open(place)?;
    let trusted = state.authorities(Timestamp::now()).await?.trusted();
    let shown = |anchor: &Arc<Authority>| (anchor.pem().to_owned(), anchor.fingerprint());
    Ok(trusted.anchors().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/sync";

    #[tokio::test]
    async fn access_keys_have_awss_form_and_can_be_disabled_and_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let name = |name: &str| Some(name.to_owned());
        for wrong in ["", "a b", &"a".repeat(65)] {
            let refused = create_access_key(directory.path(), name(wrong), Access::Full).await;
            assert!(refused.is_err(), "{wrong:?}");
        }
        let new = create_access_key(directory.path(), name("cli"), Access::ReadOnly)
            .await
            .unwrap();
        assert_eq!(new.access_key_id.len(), 20);
        assert_eq!(new.secret_access_key.len(), 40);
        assert!(!format!("{new:?}").contains(new.secret_access_key.as_str()));
        let id = new.access_key_id.clone();
        disable_access_key(directory.path(), id).await.unwrap();
        let listed = list_access_keys(directory.path()).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].disabled);
        let shown = (listed[0].name.as_deref(), listed[0].access);
        assert_eq!(shown, (Some("cli"), Access::ReadOnly));
        let unknown = disable_access_key(directory.path(), "AKIANONE".to_owned()).await;
        assert!(unknown.is_err());
        let id = new.access_key_id.clone();
        delete_access_key(directory.path(), id.clone())
            .await
            .unwrap();
        assert!(delete_access_key(directory.path(), id).await.is_err());
        let listed = list_access_keys(directory.path()).await.unwrap();
        assert!(listed.is_empty());
    }

    #[tokio::test]
    async fn role_keys_are_sealed_replaced_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let setting = |arn: &str, secret: &str| RoleKeySetting {
            role_arn: arn.to_owned(),
            access_key_id: "AKID".to_owned(),
            secret_access_key: Zeroizing::new(secret.to_owned()),
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            region: None,
        };
        assert!(
            set_role_key(directory.path(), setting("nonsense", "s"))
                .await
                .is_err()
        );
        assert!(
            set_role_key(directory.path(), setting(ROLE, ""))
                .await
                .is_err()
        );
        for secret in ["CANARYONE", "CANARYTWO"] {
            set_role_key(directory.path(), setting(ROLE, secret))
                .await
                .unwrap();
        }
        let state = open(directory.path()).unwrap();
        let row = state.store.read(|rows| rows.get::<RoleKey>(ROLE)).await;
        let row: Result<_, StoreError> = row;
        let key = row.unwrap().unwrap().record;
        assert_eq!(
            key.open_secret(&state.sealer).unwrap().as_str(),
            "CANARYTWO"
        );
        drop(state);
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(6).any(|window| window == b"CANARY");
                assert!(!found, "a secret in {}", path.display());
            }
        }
    }
}
