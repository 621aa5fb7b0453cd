use std::path::Path;

use super::*;
use crate::admin::{RoleKeySetting, create_access_key, set_role_key};
use crate::records::{Access, AccessKey, RoleKey};
use crate::store::test_server::{Server, settings};
use zeroize::Zeroizing;

const ROLE: &str = "arn:aws:iam::123456789012:role/sync";

async fn fill(place: &StatePlace) -> String {
    let key = create_access_key(place.clone(), None, Access::Full).await;
    let setting = RoleKeySetting {
        role_arn: ROLE.to_owned(),
        access_key_id: "AKID".to_owned(),
        secret_access_key: Zeroizing::new("CANARY".to_owned()),
        endpoint: None,
        region: None,
    };
    set_role_key(place.clone(), setting).await.unwrap();
    key.unwrap().access_key_id
}

async fn opens(state: &State, key: &str) -> bool {
    let key = key.to_owned();
    let rows = state.store.read(move |rows| {
        let key = rows.get::<AccessKey>(&key)?;
        Ok::<_, StoreError>((key, rows.get::<RoleKey>(ROLE)?))
    });
    let (key, role) = rows.await.unwrap();
    let opened = role.unwrap().record.open_secret(&state.sealer);
    key.unwrap().record.open_secret(&state.sealer).is_ok()
        && opened.is_ok_and(|secret| secret.as_str() == "CANARY")
}

/// As if the file had been written two minutes ago.
fn age(path: &Path) {
    let then = SystemTime::now() - SETTLE * 2;
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(then).unwrap();
}

#[tokio::test]
async fn every_secret_is_sealed_anew_while_another_process_serves() {
    let directory = tempfile::tempdir().unwrap();
    let place = StatePlace::from(directory.path());
    let key = fill(&place).await;
    let serving = State::open(place.clone(), Timestamp::now()).unwrap();
    let first = std::fs::read(key_file(&place)).unwrap();
    let none = forget_sealing_key(place.clone()).await;
    assert!(matches!(none, Err(SealingKeyError::NoStep(_))), "{none:?}");
    let anew = rotate_sealing_key(place.clone()).await.unwrap();
    assert_eq!((anew.secrets, anew.unreadable), (2, 0));
    assert!(opens(&serving, &key).await);
    let again = rotate_sealing_key(place.clone()).await.unwrap();
    assert_eq!(again.secrets, 0, "begun once");
    let early = forget_sealing_key(place.clone()).await;
    assert!(matches!(early, Err(SealingKeyError::Settling(_))));
    age(&key_file(&place));
    forget_sealing_key(place.clone()).await.unwrap();
    assert_eq!(std::fs::read(key_file(&place)).unwrap().len(), 32);
    assert!(opens(&serving, &key).await);
    let anew = State::open(place.clone(), Timestamp::now()).unwrap();
    assert!(opens(&anew, &key).await);
    std::fs::write(key_file(&place), first).unwrap();
    let old = State::open(place, Timestamp::now()).unwrap();
    assert!(!opens(&old, &key).await, "the old key opens nothing");
}

#[tokio::test]
async fn the_former_key_stays_while_something_is_sealed_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let place = StatePlace::from(directory.path());
    let key = fill(&place).await;
    let old = Sealer::open(directory.path()).unwrap();
    let late = RoleKey::seal(&old, ROLE, "CANARY").unwrap();
    rotate_sealing_key(place.clone()).await.unwrap();
    let serving = State::open(place.clone(), Timestamp::now()).unwrap();
    let job = move |rows: &Transaction<'_>| {
        let mut row = rows.get::<RoleKey>(ROLE)?.unwrap();
        row.record.secret = late;
        rows.update(&row)
    };
    serving.store.commit(job).await.unwrap();
    age(&key_file(&place));
    let refused = forget_sealing_key(place.clone()).await;
    assert!(
        matches!(refused, Err(SealingKeyError::StillUsed(1))),
        "{refused:?}"
    );
    let early = forget_sealing_key(place.clone()).await;
    assert!(matches!(early, Err(SealingKeyError::Settling(_))));
    age(&key_file(&place));
    forget_sealing_key(place).await.unwrap();
    assert!(opens(&serving, &key).await);
}

/// A rotation that has read the file when another one begins would write what it knows over what
/// that one needs.
#[tokio::test]
async fn one_command_has_the_keys_at_a_time_and_no_other_write_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let place = StatePlace::from(directory.path());
    let key = fill(&place).await;
    let mut held = HeldKeys::take(key_file(&place)).unwrap();
    let busy = rotate_sealing_key(place.clone()).await;
    assert!(
        matches!(busy, Err(SealingKeyError::Busy { .. })),
        "{busy:?}"
    );
    let busy = prepare_sealing_key(&place);
    assert!(
        matches!(busy, Err(SealingKeyError::Busy { .. })),
        "{busy:?}"
    );
    let busy = forget_sealing_key(place.clone()).await;
    assert!(
        matches!(busy, Err(SealingKeyError::Busy { .. })),
        "{busy:?}"
    );
    // Somebody copies another file over it.
    let mine = held.keys().clone().prepared(new_key().unwrap()).unwrap();
    let theirs = held.keys().clone().prepared(new_key().unwrap()).unwrap();
    crate::store::write_keys(&key_file(&place), &theirs).unwrap();
    let replaced = held.replace(mine);
    assert!(
        matches!(replaced, Err(SealingKeyError::Replaced { .. })),
        "{replaced:?}"
    );
    drop(held);
    rotate_sealing_key(place.clone()).await.unwrap();
    let state = State::open(place, Timestamp::now()).unwrap();
    assert!(opens(&state, &key).await);
}

/// The order of docs/operations.md, with a replica that lags one step behind.
#[tokio::test]
async fn replicas_are_given_the_file_before_and_after() {
    let server = Server::start();
    let url = server.new_database();
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let replica = |directory: &Path| StatePlace {
        database: Database::Postgres(Box::new(settings(&url))),
        ..directory.into()
    };
    let [first, second] = directories.each_ref().map(|d| replica(d.path()));
    let key = fill(&first).await;
    let copy = || std::fs::copy(key_file(&first), key_file(&second)).unwrap();
    copy();
    let serving = State::open(second.clone(), Timestamp::now()).unwrap();
    let refused = rotate_sealing_key(first.clone()).await;
    assert!(matches!(refused, Err(SealingKeyError::NoStep(_))));
    prepare_sealing_key(&first).unwrap();
    copy();
    // The access key, the role's key and the CA.
    let anew = rotate_sealing_key(first.clone()).await.unwrap();
    assert_eq!((anew.secrets, anew.unreadable), (3, 0));
    assert!(opens(&serving, &key).await, "it knows the next key");
    set_role_key(
        second.clone(),
        RoleKeySetting {
            role_arn: ROLE.to_owned(),
            access_key_id: "AKID".to_owned(),
            secret_access_key: Zeroizing::new("CANARY".to_owned()),
            endpoint: None,
            region: None,
        },
    )
    .await
    .unwrap();
    copy();
    let late = rotate_sealing_key(first.clone()).await.unwrap();
    assert_eq!(late.secrets, 1, "what the other one sealed meanwhile");
    age(&key_file(&first));
    forget_sealing_key(first.clone()).await.unwrap();
    copy();
    assert!(opens(&serving, &key).await);
    assert!(State::open(second, Timestamp::now()).is_ok());
}
