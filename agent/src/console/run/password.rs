//! The password's hash (Argon2id), in a file of its own.

use std::path::{Path, PathBuf};

use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use tokio::task::JoinSet;

use crate::state;

const FILE: &str = "console-password";
const SALT_BYTES: usize = 16;

/// Whether there is a password: the file exists, whatever is in it.
pub(super) fn is_set(directory: &Path) -> bool {
    file(directory).exists()
}

/// Whether this is the password.
///
/// # Errors
/// If that cannot be told.
pub(super) async fn check(directory: &Path, password: String) -> Result<bool, String> {
    let file = file(directory);
    off_the_screen(move || verify(&file, &password)).await
}

/// Sets the password; `old` must be the one that there is, and is not looked at where there is none.
///
/// # Errors
/// If `old` is wrong, or the file cannot be written.
pub(super) async fn set(directory: &Path, old: Option<String>, new: String) -> Result<(), String> {
    let directory = directory.to_owned();
    off_the_screen(move || {
        let file = file(&directory);
        if file.exists() && !verify(&file, &old.unwrap_or_default())? {
            return Err("The old password is wrong.".to_owned());
        }
        let hash = hash(&new)?;
        if !directory.exists() {
            state::make_private_directory(&directory).map_err(|e| e.to_string())?;
        }
        state::write_atomically(&file, hash.as_bytes()).map_err(|e| e.to_string())
    })
    .await
}

/// Hashing takes a moment, on purpose.
async fn off_the_screen<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let mut tasks = JoinSet::new();
    tasks.spawn_blocking(work);
    match tasks.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(error.to_string()),
        None => Err("nothing was done".to_owned()),
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

fn hash(password: &str) -> Result<String, String> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|e| e.to_string())?;
    let salt = SaltString::encode_b64(&salt).map_err(|e| e.to_string())?;
    Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|e| e.to_string())
}

fn verify(file: &Path, password: &str) -> Result<bool, String> {
    let unreadable = |reason: String| format!("{} cannot be used: {reason}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| unreadable(e.to_string()))?;
    let hash = PasswordHash::new(text.trim()).map_err(|e| unreadable(e.to_string()))?;
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_password_is_set_checked_and_changed() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("state");
        let text = |text: &str| text.to_owned();
        assert!(!is_set(&state));
        set(&state, None, text("first canary")).await.unwrap();
        assert!(is_set(&state));
        assert_eq!(check(&state, text("first canary")).await, Ok(true));
        assert_eq!(check(&state, text("wrong")).await, Ok(false));
        let written = std::fs::read_to_string(file(&state)).unwrap();
        assert!(written.starts_with("$argon2id$") && !written.contains("canary"));
        let mode = std::fs::metadata(file(&state))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        for old in [None, Some(text("wrong"))] {
            let refused = set(&state, old, text("second canary")).await;
            assert!(refused.unwrap_err().contains("old password"));
        }
        set(&state, Some(text("first canary")), text("second canary"))
            .await
            .unwrap();
        assert_eq!(check(&state, text("second canary")).await, Ok(true));
    }

    #[tokio::test]
    async fn a_damaged_file_opens_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(file(scratch.path()), "nonsense").unwrap();
        assert!(is_set(scratch.path()));
        let error = check(scratch.path(), "nonsense".to_owned())
            .await
            .unwrap_err();
        assert!(error.contains("cannot be used"), "{error}");
    }
}
