use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;

use super::*;
use crate::admin::{create_access_key, list_access_keys};
use crate::ca::Authority;
use crate::records::Access;

fn place(directory: &Path) -> StatePlace {
    directory.into()
}

#[tokio::test]
async fn a_backup_taken_while_control_serves_is_the_state_in_a_new_incarnation() {
    let all = tempfile::tempdir().unwrap();
    let [live, saved, back] = ["live", "saved", "back"].map(|name| all.path().join(name));
    let serving = State::open(&live, Timestamp::now()).unwrap();
    let before = serving.store.read(|rows| rows.generation()).await;
    let before: Result<_, StoreError> = before;
    let kept = create_access_key(&live, Some("kept".to_owned()), Access::Full)
        .await
        .unwrap();
    back_up(&place(&live), &saved).unwrap();
    create_access_key(&live, Some("later".to_owned()), Access::Full)
        .await
        .unwrap();
    restore(&place(&back), &saved).await.unwrap();
    let keys = list_access_keys(&back).await.unwrap();
    let ids: Vec<_> = keys.iter().map(|key| key.access_key_id.as_str()).collect();
    assert_eq!(ids, [kept.access_key_id.as_str()]);
    let restored = State::open(&back, Timestamp::now()).unwrap();
    let own = restored.store.read(|rows| rows.generation()).await;
    let own: Result<_, StoreError> = own;
    assert_ne!(own.unwrap().incarnation, before.unwrap().incarnation);
    assert_eq!(
        restored.authority.fingerprint(),
        serving.authority.fingerprint()
    );
    for path in [&saved, &back] {
        for file in ["", "control.sqlite3", "sealing.key", "ca", "ca/ca.key.pem"] {
            let mode = fs::metadata(path.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{file}");
        }
    }
    assert!(!back.join(DRAFT).exists());
}

#[tokio::test]
async fn nothing_is_overwritten_and_what_is_missing_is_named() {
    let all = tempfile::tempdir().unwrap();
    let [live, saved, new] = ["live", "saved", "new"].map(|name| all.path().join(name));
    let error = back_up(&place(&live), &saved).unwrap_err().to_string();
    assert!(error.contains("control.sqlite3 is missing"), "{error}");
    drop(State::open(&live, Timestamp::now()).unwrap());
    // A backup that was cut off is in nobody's way.
    make_directory(&all.path().join("saved.partial")).unwrap();
    back_up(&place(&live), &saved).unwrap();
    let error = back_up(&place(&live), &saved).unwrap_err().to_string();
    assert!(error.contains("saved exists already"), "{error}");
    let error = restore(&place(&live), &saved)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("control.sqlite3 exists already"), "{error}");
    let error = restore(&place(&new), all.path()).await.unwrap_err();
    assert!(error.to_string().contains("backup` made"), "{error}");
    // Cut off before the rows were in their place: the next attempt says what is there.
    fs::remove_file(saved.join("ca/ca.pem")).unwrap();
    let error = restore(&place(&new), &saved).await.unwrap_err();
    assert!(error.to_string().contains("ca.pem"), "{error}");
    assert!(!Store::file(&new).exists());
}

/// As a rotation leaves them when it is cut off, and as two halves of two CAs.
#[tokio::test]
async fn a_backup_has_the_key_that_belongs_to_the_certificate() {
    let all = tempfile::tempdir().unwrap();
    let [live, saved, back] = ["live", "saved", "back"].map(|name| all.path().join(name));
    let now = Timestamp::now();
    drop(State::open(&live, now).unwrap());
    let (key, certificate) = Authority::generate(now).unwrap();
    let next = Authority::of_pem(&live, &key, &certificate, now).unwrap();
    fs::write(live.join("ca/ca.key.next.pem"), &*key).unwrap();
    fs::write(live.join("ca/ca.pem"), certificate).unwrap();
    back_up(&place(&live), &saved).unwrap();
    let of_saved = fs::read_to_string(saved.join("ca/ca.key.pem")).unwrap();
    assert_eq!(of_saved, *key);
    restore(&place(&back), &saved).await.unwrap();
    let restored = State::open(&back, now).unwrap();
    assert_eq!(restored.authority.fingerprint(), next.fingerprint());
    let (other, _) = Authority::generate(now).unwrap();
    for (directory, key) in [(&live, "ca/ca.key.next.pem"), (&saved, "ca/ca.key.pem")] {
        fs::write(directory.join(key), &*other).unwrap();
    }
    let error = back_up(&place(&live), &all.path().join("new")).unwrap_err();
    assert!(error.to_string().contains("is not the key"), "{error}");
    let error = restore(&place(&all.path().join("other")), &saved).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("is not the key"), "{error}");
}
