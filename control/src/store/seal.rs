//! Secrets inside records: AES-256-GCM under a key that is kept outside the database.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::disk;

const KEY_FILE: &str = "sealing.key";
const KEY_BYTES: usize = 32;

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
    #[error("the sealing key {path} must hold exactly {KEY_BYTES} bytes: restore it from a backup")]
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

/// Seals and opens secrets. `Debug` shows nothing.
pub(crate) struct Sealer {
    key: RandomizedNonceKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
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
                let mut bytes = Zeroizing::new([0; KEY_BYTES]);
                getrandom::fill(bytes.as_mut()).map_err(|_| SealError::CannotSeal)?;
                create(state_dir, &path, bytes.as_ref()).map_err(file_error(&path))?;
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
        let shown = || path.display().to_string();
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SealError::Missing { path: shown() });
            }
            opened => opened.map_err(file_error(path))?,
        };
        file.take(KEY_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(file_error(path))?;
        Self::from_key(&bytes).ok_or_else(|| SealError::BadKey { path: shown() })
    }

    fn from_key(bytes: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, bytes)
            .ok()
            .map(|key| Self { key })
    }

    /// Encrypts `secret` for `place`.
    ///
    /// # Errors
    /// [`SealError::CannotSeal`] if there is no randomness.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &str) -> Result<Sealed, SealError> {
        let mut text = secret.as_bytes().to_vec();
        let nonce = self
            .key
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
        self.try_open(place, sealed)
            .ok_or_else(|| SealError::CannotOpen {
                kind: place.kind.to_owned(),
                id: place.id.to_owned(),
                field: place.field.to_owned(),
            })
    }

    fn try_open(&self, place: Place<'_>, sealed: &Sealed) -> Option<Zeroizing<String>> {
        let mut bytes = Zeroizing::new(STANDARD.decode(&sealed.0).ok()?);
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self
            .key
            .open_in_place(nonce, place.associated_data(), text)
            .ok()?;
        String::from_utf8(plain.to_vec()).ok().map(Zeroizing::new)
    }
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> SealError {
    let path = path.display().to_string();
    move |source| SealError::File { path, source }
}

/// A half-written key must never be taken for one: written apart, then renamed into place. Whoever
/// opens the state directory is alone in it.
fn create(state_dir: &Path, path: &Path, key: &[u8]) -> std::io::Result<()> {
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
    File::open(state_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        kind: "access-key",
        id: "AKID",
        field: "secret",
    };

    #[test]
    fn a_sealed_secret_opens_only_in_its_place_and_with_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(directory.path()).unwrap();
        let sealed = sealer.seal(PLACE, "CANARY").unwrap();
        assert!(!format!("{sealed:?}").contains("CANARY"));
        let again = Sealer::open(directory.path()).unwrap();
        assert_eq!(
            again.open_secret(PLACE, &sealed).unwrap().as_str(),
            "CANARY"
        );
        let elsewhere = Place {
            id: "AKID2",
            ..PLACE
        };
        assert!(again.open_secret(elsewhere, &sealed).is_err());
        let other = Sealer::from_key(&[7; KEY_BYTES]).unwrap();
        assert!(other.open_secret(PLACE, &sealed).is_err());
        assert_ne!(sealed, sealer.seal(PLACE, "CANARY").unwrap());
    }

    #[test]
    fn the_key_file_is_private_and_checked() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        Sealer::open(directory.path()).unwrap();
        let path = directory.path().join(KEY_FILE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, [0; KEY_BYTES + 1]).unwrap();
        assert!(matches!(
            Sealer::open(directory.path()),
            Err(SealError::BadKey { .. })
        ));
    }

    #[test]
    fn damaged_texts_are_refused() {
        let sealer = Sealer::from_key(&[1; KEY_BYTES]).unwrap();
        for text in ["", "!", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(sealer.open_secret(PLACE, &Sealed(text.to_owned())).is_err());
        }
    }
}
