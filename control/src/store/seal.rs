//! Secrets inside records: AES-256-GCM under a key that is kept outside the database.

mod key_file;

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::disk;
use key_file::{FILE_BYTES_MAX, KEY_BYTES};
pub(crate) use key_file::{KeyBytes, KeyFile, NoStep};

const KEY_FILE: &str = "sealing.key";

/// An encrypted secret: base64 of nonce, ciphertext and tag. Safe to store and to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(String);

/// Which field of which record a secret belongs to; a secret moved elsewhere does not open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The record's kind.
    pub(crate) kind: &'a str,
    /// The record's id.
    pub(crate) id: &'a str,
    /// The field.
    pub(crate) field: &'a str,
}

impl Place<'_> {
    /// Kinds, ids and fields hold no NUL, so that two places never look alike.
    fn associated_data(&self) -> Aad<Vec<u8>> {
        Aad::from([self.kind, self.id, self.field].join("\0").into_bytes())
    }
}

/// Why the key or a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The key file cannot be read or made.
    #[error("cannot use the sealing key {path}: {source}{}", disk::advice(.source))]
    File {
        /// Which file.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The key file that others made is not here.
    #[error("the sealing key {path} is missing: copy it from another replica or a backup")]
    Missing {
        /// Which file.
        path: String,
    },
    /// The key file does not hold a key.
    #[error(
        "the sealing key {path} must hold exactly {KEY_BYTES} bytes, or {FILE_BYTES_MAX} while it \
         is being replaced: restore it from a backup"
    )]
    BadKey {
        /// Which file.
        path: String,
    },
    /// Wrong key, wrong place, or damaged.
    #[error(
        "the {field} of {kind} {id} cannot be opened: it was sealed with another sealing.key, or it is damaged"
    )]
    CannotOpen {
        /// The record's kind.
        kind: String,
        /// Its id.
        id: String,
        /// The field.
        field: String,
    },
    /// The random source failed.
    #[error("a secret could not be sealed: the system's random source failed")]
    CannotSeal,
}

/// Seals and opens secrets, also while the key's file is replaced by another process. `Debug` shows
/// nothing.
pub(crate) struct Sealer {
    path: PathBuf,
    known: RwLock<Known>,
}

/// The keys as they were last read.
struct Known {
    /// `None`: not from a file.
    stamp: Option<Stamp>,
    seals: RandomizedNonceKey,
    also_opens: Option<RandomizedNonceKey>,
}

/// What tells a file from the one that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
        }
    }
}

impl Known {
    fn of(file: &KeyFile, stamp: Option<Stamp>) -> Option<Self> {
        let key = |key: &KeyBytes| RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).ok();
        Some(Self {
            stamp,
            seals: key(file.present())?,
            also_opens: match file.other() {
                Some(other) => Some(key(other)?),
                None => None,
            },
        })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// Reads the keys in `path`.
///
/// # Errors
/// [`SealError`] with the file.
pub(crate) fn read_keys(path: &Path) -> Result<KeyFile, SealError> {
    read_stamped(path).map(|(keys, _)| keys)
}

fn read_stamped(path: &Path) -> Result<(KeyFile, Stamp), SealError> {
    let shown = || path.display().to_string();
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(SealError::Missing { path: shown() });
        }
        opened => opened.map_err(file_error(path))?,
    };
    let stamp = Stamp::of(&file.metadata().map_err(file_error(path))?);
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(file_error(path))?;
    let keys = KeyFile::parse(&bytes).ok_or_else(|| SealError::BadKey { path: shown() })?;
    Ok((keys, stamp))
}

/// Puts `keys` in the place of those in `path`, which stay if this fails.
///
/// # Errors
/// [`SealError`] with the file.
pub(crate) fn write_keys(path: &Path, keys: &KeyFile) -> Result<(), SealError> {
    create(path, &keys.bytes()).map_err(file_error(path))
}

/// When the keys in `path` were last replaced.
///
/// # Errors
/// [`SealError`] with the file.
pub(crate) fn keys_written_at(path: &Path) -> Result<SystemTime, SealError> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.map_err(file_error(path))
}

/// A new key.
///
/// # Errors
/// [`SealError::CannotSeal`] if there is no randomness.
pub(crate) fn new_key() -> Result<KeyBytes, SealError> {
    KeyBytes::random().ok_or(SealError::CannotSeal)
}

impl Sealer {
    /// Reads the key from `state_dir`, or makes one (mode 0600, synced) if there is none.
    ///
    /// # Errors
    /// [`SealError`] with the file.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, SealError> {
        let path = Self::default_path(state_dir);
        match Self::open_existing(&path) {
            Err(SealError::Missing { .. }) => {
                write_keys(&path, &KeyFile::One(new_key()?))?;
                Self::open_existing(&path)
            }
            opened => opened,
        }
    }

    /// The key's file unless another is configured.
    pub(crate) fn default_path(state_dir: &Path) -> PathBuf {
        state_dir.join(KEY_FILE)
    }

    /// Reads the key from `path`.
    ///
    /// # Errors
    /// [`SealError`] with the file.
    pub(crate) fn open_existing(path: &Path) -> Result<Self, SealError> {
        let (keys, stamp) = read_stamped(path)?;
        let known = Known::of(&keys, Some(stamp)).ok_or_else(|| SealError::BadKey {
            path: path.display().to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            known: RwLock::new(known),
        })
    }

    /// The keys, read again if their file was replaced. One that cannot be read changes nothing.
    fn known(&self) -> RwLockReadGuard<'_, Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Ok(metadata) = std::fs::metadata(&self.path) else {
            return known;
        };
        if known
            .stamp
            .is_none_or(|stamp| stamp == Stamp::of(&metadata))
        {
            return known;
        }
        drop(known);
        self.read_again(Stamp::of(&metadata));
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_again(&self, seen: Stamp) {
        let read = read_stamped(&self.path);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match read.map(|(keys, stamp)| Known::of(&keys, Some(stamp))) {
            Ok(Some(fresh)) => {
                *known = fresh;
                tracing::info!(path = %self.path.display(), event = "sealing-key.replaced", "the sealing key was replaced");
            }
            Ok(None) => known.stamp = Some(seen),
            Err(error) => {
                known.stamp = Some(seen);
                tracing::error!(%error, "the sealing key that was known before is used");
            }
        }
    }

    /// Encrypts `secret` for `place`.
    ///
    /// # Errors
    /// [`SealError::CannotSeal`] if there is no randomness.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &str) -> Result<Sealed, SealError> {
        let mut text = secret.as_bytes().to_vec();
        let nonce = self
            .known()
            .seals
            .seal_in_place_append_tag(place.associated_data(), &mut text)
            .map_err(|_| SealError::CannotSeal)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(Sealed(STANDARD.encode(sealed)))
    }

    /// Decrypts what [`Self::seal`] made for the same place.
    ///
    /// # Errors
    /// [`SealError::CannotOpen`].
    pub(crate) fn open_secret(
        &self,
        place: Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<String>, SealError> {
        let known = self.known();
        let mut keys = std::iter::once(&known.seals).chain(&known.also_opens);
        keys.find_map(|key| try_open(key, place, sealed))
            .ok_or_else(|| SealError::CannotOpen {
                kind: place.kind.to_owned(),
                id: place.id.to_owned(),
                field: place.field.to_owned(),
            })
    }

    /// The same secret under the present key; `None` if it is that already.
    ///
    /// # Errors
    /// [`SealError`] as of [`Self::open_secret`] and [`Self::seal`].
    pub(crate) fn seal_anew(
        &self,
        place: Place<'_>,
        sealed: &Sealed,
    ) -> Result<Option<Sealed>, SealError> {
        if try_open(&self.known().seals, place, sealed).is_some() {
            return Ok(None);
        }
        let secret = self.open_secret(place, sealed)?;
        self.seal(place, &secret).map(Some)
    }
}

fn try_open(
    key: &RandomizedNonceKey,
    place: Place<'_>,
    sealed: &Sealed,
) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(STANDARD.decode(&sealed.0).ok()?);
    let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key
        .open_in_place(nonce, place.associated_data(), text)
        .ok()?;
    String::from_utf8(plain.to_vec()).ok().map(Zeroizing::new)
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> SealError {
    let path = path.display().to_string();
    move |source| SealError::File { path, source }
}

/// A half-written key must never be taken for one: written apart, then renamed into place. Whoever
/// opens the state directory is alone in it.
fn create(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("key.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests;
