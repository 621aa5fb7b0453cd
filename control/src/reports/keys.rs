//! Control's keys for reports: made when one is needed, replaced by command, published for ever.

use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::countersigning::SigningError;
use crate::ca::key_id;
use crate::records::ReportKey;
use crate::store::{Sealer, StoreError, Transaction};

/// What control publishes: every key that it has ever signed reports with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PublishedKeys {
    pub(crate) keys: Vec<PublishedKey>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PublishedKey {
    /// SHA-256 of the DER of the key, hexadecimal.
    pub(crate) key_id: String,
    /// `ECDSA_P256_SHA256`.
    pub(crate) algorithm: String,
    /// PEM of a `SubjectPublicKeyInfo`.
    pub(crate) public_key: String,
    /// RFC 3339: nothing was signed with it before.
    pub(crate) not_before: String,
    /// Nothing is signed with it afterwards; absent while it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_after: Option<String>,
}

pub(super) const ALGORITHM: &str = "ECDSA_P256_SHA256";

/// Every key, the newest first.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn published(rows: &Transaction<'_>) -> Result<PublishedKeys, StoreError> {
    let mut keys: Vec<ReportKey> = all(rows)?;
    keys.sort_by_key(|key| std::cmp::Reverse(key.created_at_ms));
    let time = |ms| {
        Timestamp::from_millisecond(ms)
            .unwrap_or_default()
            .to_string()
    };
    let keys = keys.into_iter().map(|key| PublishedKey {
        key_id: key.key_id,
        algorithm: ALGORITHM.to_owned(),
        public_key: key.public_key_pem,
        not_before: time(key.created_at_ms),
        not_after: key.retired_at_ms.map(time),
    });
    Ok(PublishedKeys {
        keys: keys.collect(),
    })
}

/// The key in use, made if there is none.
///
/// # Errors
/// [`SigningError`]: the store, or no randomness.
pub(super) fn in_use(
    rows: &Transaction<'_>,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<ReportKey, SigningError> {
    if let Some(key) = found_in_use(rows)? {
        return Ok(key);
    }
    let key = made(sealer, now)?;
    rows.insert(&key)?;
    tracing::info!(
        key_id = key.key_id,
        event = "report-key.made",
        "a key for task reports is made"
    );
    Ok(key)
}

/// The key in use, if there is one.
///
/// # Errors
/// [`StoreError`].
pub(super) fn found_in_use(rows: &Transaction<'_>) -> Result<Option<ReportKey>, StoreError> {
    let keys = all(rows)?.into_iter().filter(ReportKey::is_in_use);
    Ok(keys.max_by_key(|key| key.created_at_ms))
}

/// Retires the key in use and makes another one, whose id it gives.
///
/// # Errors
/// [`SigningError`]: the store, or no randomness.
pub(crate) fn rotated(
    rows: &Transaction<'_>,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<String, SigningError> {
    for mut row in rows.list::<ReportKey>(None, usize::MAX)? {
        if row.record.is_in_use() {
            row.record.retire(now.as_millisecond());
            rows.update(&row)?;
        }
    }
    let key = made(sealer, now)?;
    rows.insert(&key)?;
    Ok(key.key_id)
}

fn all(rows: &Transaction<'_>) -> Result<Vec<ReportKey>, StoreError> {
    let rows = rows.list::<ReportKey>(None, usize::MAX)?;
    Ok(rows.into_iter().map(|row| row.record).collect())
}

fn made(sealer: &Sealer, now: Timestamp) -> Result<ReportKey, SigningError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let public = (
        key_id(&pair.subject_public_key_info()),
        pair.public_key_pem(),
    );
    let private = Zeroizing::new(pair.serialize_pem());
    Ok(ReportKey::new(
        sealer,
        public,
        &private,
        now.as_millisecond(),
    )?)
}
