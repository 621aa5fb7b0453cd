//! Bundles in the rows, so that every control of a database has them.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest;
use datasync_model::ReleaseVersion;
use datasync_proto::{BUNDLE_BYTES_MAX, BundleHeader, RELEASE_PART_BYTES_MAX};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::admin::AdminError;
use crate::records::{Release, ReleasePart, ReleaseWish};
use crate::state::{State, StatePlace};
use crate::store::{Record, Store, StoreError, Transaction};

/// Parts in one commit: others that write wait no longer than that takes.
const PARTS_AT_ONCE: usize = 8;

fn text(error: &dyn std::fmt::Display) -> AdminError {
    AdminError::new(error.to_string())
}

pub(super) fn open(place: impl Into<StatePlace>) -> Result<State, AdminError> {
    State::open(place, Timestamp::now()).map_err(|error| text(&error))
}

/// Adds a bundle, for agents that are to run its release. Whether it is whole is looked at here;
/// whether its signature is good, by each agent with its own keys.
///
/// # Errors
/// [`AdminError`]: the file is no bundle or was damaged, its release is there already, or the store
/// cannot be used.
pub(crate) async fn add_release(
    place: impl Into<StatePlace>,
    file: &Path,
) -> Result<Value, AdminError> {
    let (bundle, header) = read(file).map_err(|why| text(&format!("{}: {why}", file.display())))?;
    let parts: Vec<&[u8]> = bundle.chunks(RELEASE_PART_BYTES_MAX).collect();
    let manifest = header.manifest;
    let release = Release {
        version: manifest.version,
        architecture: manifest.architecture,
        key_id: header.key_id,
        sha256: manifest.sha256,
        made_at: manifest.made_at,
        bytes: bundle.len() as u64,
        parts: u32::try_from(parts.len()).map_err(|error| text(&error))?,
        is_complete: false,
        added_at_ms: Timestamp::now().as_millisecond(),
    };
    let state = open(place)?;
    begin(&state.store, release.clone()).await?;
    let id = release.id();
    let mut numbered = (0..).zip(parts);
    loop {
        let parts = numbered.by_ref().take(PARTS_AT_ONCE);
        let rows: Vec<_> = parts
            .map(|(number, bytes)| ReleasePart::new(&id, number, bytes))
            .collect();
        if rows.is_empty() {
            break;
        }
        let insert = move |tx: &Transaction<'_>| rows.iter().try_for_each(|row| tx.insert(row));
        let inserted: Result<(), StoreError> = state.store.commit(insert).await;
        inserted.map_err(|error| text(&error))?;
    }
    let added = complete(&state.store, id).await?;
    Ok(shown(&added))
}

/// The bundle, and what it says of itself.
fn read(file: &Path) -> Result<(Vec<u8>, BundleHeader), String> {
    let length = fs::metadata(file).map_err(|e| e.to_string())?.len();
    if length > BUNDLE_BYTES_MAX {
        return Err(format!(
            "{length} bytes: a bundle has {BUNDLE_BYTES_MAX} at most"
        ));
    }
    let bundle = fs::read(file).map_err(|e| e.to_string())?;
    let header = BundleHeader::read(&bundle).map_err(|e| e.to_string())?;
    let (is, should) = (bundle.len() as u64, header.bundle_bytes());
    if is != should {
        return Err(format!("it has {is} bytes and should have {should}"));
    }
    let program = &bundle[header.text().len()..];
    let sum = digest::digest(&digest::SHA256, program);
    if hex::encode(sum) != header.manifest.sha256 {
        return Err("its program was damaged: its SHA-256 is another one".to_owned());
    }
    Ok((bundle, header))
}

async fn begin(store: &Store, release: Release) -> Result<(), AdminError> {
    store
        .commit(move |rows| {
            let id = release.id();
            match rows.get::<Release>(&id)? {
                Some(row) if row.record.is_complete => {
                    return Err(text(&format!(
                        "release {id} is there already: remove it first, or raise its version"
                    )));
                }
                // Somebody was interrupted while adding it.
                Some(row) => {
                    rows.delete::<Release>(&id, row.version)?;
                    rows.delete_children::<ReleasePart>(&id)?;
                }
                None => {}
            }
            Ok(rows.insert(&release)?)
        })
        .await
}

async fn complete(store: &Store, id: String) -> Result<Release, AdminError> {
    store
        .commit(move |rows| {
            let gone = || text(&format!("release {id} was removed meanwhile"));
            let mut row = rows.get::<Release>(&id)?.ok_or_else(gone)?;
            row.record.is_complete = true;
            rows.update(&row)?;
            Ok(row.record)
        })
        .await
}

/// Every bundle.
///
/// # Errors
/// [`AdminError`]: the store cannot be used.
pub(crate) async fn list_releases(place: impl Into<StatePlace>) -> Result<Vec<Value>, AdminError> {
    let state = open(place)?;
    let read = state
        .store
        .read(|rows| rows.list::<Release>(None, usize::MAX));
    let rows: Result<Vec<_>, StoreError> = read.await;
    let mut rows = rows.map_err(|error| text(&error))?;
    rows.sort_by(|one, other| one.record.version.cmp(&other.record.version));
    Ok(rows.iter().map(|row| shown(&row.record)).collect())
}

/// Removes the bundles of a version, for every architecture.
///
/// # Errors
/// [`AdminError`]: there is none, agents should run it, or the store cannot be used.
pub(crate) async fn remove_release(
    place: impl Into<StatePlace>,
    version: ReleaseVersion,
) -> Result<(), AdminError> {
    let state = open(place)?;
    state
        .store
        .commit(move |rows| {
            let wishes = rows.list::<ReleaseWish>(None, usize::MAX)?;
            let wish = wishes
                .into_iter()
                .find(|wish| wish.record.version.as_ref() == Some(&version));
            if let Some(wish) = wish {
                let whose = wish.record.agent.map(|agent| agent.to_string());
                return Err(text(&format!(
                    "{} should run release {version}: `agent set-version` another one first",
                    whose.as_deref().unwrap_or("every agent")
                )));
            }
            let found = of_version(rows, &version)?;
            if found.is_empty() {
                return Err(text(&format!("there is no release {version}")));
            }
            for (id, row) in found {
                rows.delete::<Release>(&id, row)?;
                rows.delete_children::<ReleasePart>(&id)?;
            }
            Ok(())
        })
        .await
}

/// Ids and versions of the rows of a release.
pub(super) fn of_version(
    rows: &Transaction<'_>,
    version: &ReleaseVersion,
) -> Result<Vec<(String, i64)>, StoreError> {
    let all = rows.list::<Release>(None, usize::MAX)?;
    let found = all.iter().filter(|row| row.record.version == *version);
    Ok(found.map(|row| (row.record.id(), row.version)).collect())
}

fn shown(release: &Release) -> Value {
    json!({
        "Version": release.version,
        "Architecture": release.architecture,
        "KeyId": release.key_id,
        "Sha256": release.sha256,
        "Bytes": release.bytes,
        "MadeAt": release.made_at,
        "Status": if release.is_complete { "Complete" } else { "Incomplete" },
    })
}
