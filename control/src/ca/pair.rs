//! The two files of the CA in a state directory, key and certificate, which another process may
//! replace while they are read: the next key is written beside, then the certificate, then the key
//! is renamed into its place.

use std::path::Path;

use zeroize::Zeroizing;

use super::{CERTIFICATE, CaError, DIRECTORY, KEY, NEXT_KEY, files, parsed};

/// A replacement takes effect between two reads at most: the next look finds both files.
const LOOKS: u32 = 3;

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) key_pem: Zeroizing<String>,
    pub(crate) certificate_pem: String,
    /// Whether the key is not in its place yet.
    pub(super) is_next: bool,
}

/// The CA under `state_dir`, as of one moment.
///
/// # Errors
/// [`CaError`]: files that are missing or damaged, or do not belong together.
pub(crate) fn read_pair(state_dir: &Path) -> Result<Pair, CaError> {
    let directory = state_dir.join(DIRECTORY);
    for _ in 1..LOOKS {
        if let Some(pair) = look(&directory)? {
            return Ok(pair);
        }
    }
    if let Some(pair) = look(&directory)? {
        return Ok(pair);
    }
    // What is wrong with the one that should fit.
    let key_pem = Zeroizing::new(files::read(&directory.join(KEY))?);
    let certificate_pem = files::read(&directory.join(CERTIFICATE))?;
    parsed(&directory, &key_pem, &certificate_pem)?;
    Ok(Pair {
        key_pem,
        certificate_pem,
        is_next: false,
    })
}

fn look(directory: &Path) -> Result<Option<Pair>, CaError> {
    let certificate_pem = files::read(&directory.join(CERTIFICATE))?;
    for (name, is_next) in [(KEY, false), (NEXT_KEY, true)] {
        let key_pem = files::read_if_there(&directory.join(name))?;
        let key_pem = key_pem.map(Zeroizing::new);
        let fits = |key: &Zeroizing<String>| parsed(directory, key, &certificate_pem).is_ok();
        if let Some(key_pem) = key_pem.filter(fits) {
            return Ok(Some(Pair {
                key_pem,
                certificate_pem,
                is_next,
            }));
        }
    }
    Ok(None)
}

/// Puts the next key, which is `key_pem`, into its place.
///
/// # Errors
/// [`CaError::File`].
pub(super) fn put_key_in_place(directory: &Path, key_pem: &str) -> Result<(), CaError> {
    let key = directory.join(KEY);
    match files::rename(&directory.join(NEXT_KEY), &key) {
        // Another process that opened the CA meanwhile was faster.
        Err(CaError::File { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound
                && files::read_if_there(&key)?.as_deref() == Some(key_pem) =>
        {
            files::sync_directory(directory)
        }
        renamed => renamed,
    }
}
