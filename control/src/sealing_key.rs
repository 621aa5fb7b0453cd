//! `datasync-control sealing-key`: another key seals the secrets in the store, while control serves.
//!
//! Both keys are known, in one file that is replaced as a whole, until no secret is left under the
//! former one. Whatever is cut off is ended by the same command.

mod held;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::records::{HoldsSecret, for_each_kind_with_secrets};
use crate::state::{State, StateError, StatePlace};
use crate::store::{
    Database, NoStep, SealError, Sealer, Store, StoreError, Transaction, keys_written_at, new_key,
};
use held::HeldKeys;

/// Records that are sealed anew in one commit.
const BATCH: usize = 100;
/// What was sealed with the former key is in the store after this time: calls end sooner.
const SETTLE: Duration = Duration::from_secs(60);

/// Why a step is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// It makes no sense now.
    #[error(transparent)]
    NoStep(NoSuchStep),
    /// It is too early.
    #[error("not yet: what was sealed with the old key is in the store in {0} s; try again then")]
    Settling(u64),
    /// Some control still seals with the old key.
    #[error(
        "{0} secret(s) were sealed with the old key since `sealing-key rotate`, and are sealed with \
         the new one now: see to it that every control has the file of the key, and try again"
    )]
    StillUsed(u64),
    /// Two at once would each take keys that the other one's secrets need.
    #[error("{}: another `sealing-key` command is under way: wait until it has ended", path.display())]
    Busy {
        /// What that one holds.
        path: PathBuf,
    },
    /// Something that is no command of ours wrote the file.
    #[error("{}: it was replaced while this command ran: see what is in it, and try again", path.display())]
    Replaced {
        /// The file with the keys.
        path: PathBuf,
    },
    /// The state, its rows or its keys.
    #[error("{0}")]
    State(String),
}

/// See [`SealingKeyError::NoStep`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct NoSuchStep(NoStep);

impl From<NoStep> for SealingKeyError {
    fn from(error: NoStep) -> Self {
        Self::NoStep(NoSuchStep(error))
    }
}

macro_rules! state_errors {
    ($($error:ty),+) => {$(
        impl From<$error> for SealingKeyError {
            fn from(error: $error) -> Self {
                Self::State(error.to_string())
            }
        }
    )+};
}
state_errors!(SealError, StateError, StoreError);

/// What became of the secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SealedAnew {
    /// Under the new key now.
    pub secrets: u64,
    /// No known key opens them: they stay as they are.
    pub unreadable: u64,
}

impl fmt::Display for SealedAnew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secret(s) sealed with the new key", self.secrets)?;
        match self.unreadable {
            0 => Ok(()),
            count => write!(
                f,
                "; {count} cannot be opened with any key and stay as they are"
            ),
        }
    }
}

fn key_file(place: &StatePlace) -> PathBuf {
    match &place.sealing_key_file {
        Some(path) => path.clone(),
        None => Sealer::default_path(&place.directory),
    }
}

/// Adds the next key to the file: it opens, and does not seal yet. For several controls on one
/// database, each of which needs the file before the next step.
///
/// # Errors
/// [`SealingKeyError`]; then the file is as it was.
pub fn prepare_sealing_key(place: &StatePlace) -> Result<(), SealingKeyError> {
    let mut held = HeldKeys::take(key_file(place))?;
    let keys = held.keys().clone().prepared(new_key()?)?;
    held.replace(keys)
}

/// Seals every secret with another key: a new one, or the prepared one. The former key stays in
/// the file.
///
/// # Errors
/// [`SealingKeyError`]; what was begun is ended by the next call.
pub async fn rotate_sealing_key(place: StatePlace) -> Result<SealedAnew, SealingKeyError> {
    let path = key_file(&place);
    let is_alone = place.database == Database::Sqlite;
    // Makes the key at the first start.
    let state = State::open(place, Timestamp::now())?;
    let mut held = HeldKeys::take(path)?;
    let keys = held.keys().clone().replacing(new_key()?, is_alone)?;
    if keys != *held.keys() {
        held.replace(keys)?;
    }
    seal_all_anew(&state).await
}

/// Forgets the former key, once nothing is sealed with it.
///
/// # Errors
/// [`SealingKeyError`]; then the file is as it was.
pub async fn forget_sealing_key(place: StatePlace) -> Result<(), SealingKeyError> {
    let mut held = HeldKeys::take(key_file(&place))?;
    let replaced = held.keys().clone().replaced()?;
    let age = SystemTime::now().duration_since(keys_written_at(held.path())?);
    let left = SETTLE.saturating_sub(age.unwrap_or_default());
    if !left.is_zero() {
        return Err(SealingKeyError::Settling(left.as_secs() + 1));
    }
    let state = State::open(place, Timestamp::now())?;
    match seal_all_anew(&state).await?.secrets {
        0 => held.replace(replaced),
        count => {
            // The wait begins anew: whoever sealed these may have been about to seal others.
            let keys = held.keys().clone();
            held.replace(keys)?;
            Err(SealingKeyError::StillUsed(count))
        }
    }
}

async fn seal_all_anew(state: &State) -> Result<SealedAnew, SealingKeyError> {
    let mut result = SealedAnew::default();
    for_each_kind_with_secrets!(seal_kind_anew(&state.store, &state.sealer, &mut result));
    Ok(result)
}

async fn seal_kind_anew<R: HoldsSecret + Send + 'static>(
    store: &Store,
    sealer: &Arc<Sealer>,
    result: &mut SealedAnew,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let (sealer, from) = (sealer.clone(), after.take());
        let batch = store.commit(move |rows| seal_batch_anew::<R>(rows, &sealer, from.as_deref()));
        let (found, last) = batch.await?;
        result.secrets += found.secrets;
        result.unreadable += found.unreadable;
        match last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// The records after `after`, and the id of the last of them.
fn seal_batch_anew<R: HoldsSecret>(
    rows: &Transaction<'_>,
    sealer: &Sealer,
    after: Option<&str>,
) -> Result<(SealedAnew, Option<String>), StoreError> {
    let mut result = SealedAnew::default();
    let batch = rows.list::<R>(after, BATCH)?;
    let last = batch.last().map(|row| row.record.id());
    for mut row in batch {
        match row.record.seal_anew(sealer) {
            Ok(false) => {}
            Ok(true) => {
                rows.update(&row)?;
                result.secrets += 1;
            }
            Err(error) => {
                tracing::error!(%error, "a secret stays under the key that it has");
                result.unreadable += 1;
            }
        }
    }
    Ok((result, last))
}

#[cfg(test)]
mod tests;
