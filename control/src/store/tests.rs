mod crash;

use super::*;
use crate::records::{Access, AccessKey};

fn key(id: &str) -> AccessKey {
    AccessKey {
        access_key_id: id.to_owned(),
        secret: serde_json::from_str("\"sealed\"").unwrap(),
        name: None,
        access: Access::Full,
        disabled: false,
        created_at_ms: 1,
    }
}

fn open(directory: &Path) -> Store {
    Store::open(directory, "incarnation-1").unwrap()
}

async fn names(store: &Store, after: Option<&'static str>, limit: usize) -> Vec<String> {
    store
        .read(move |tx| tx.list::<AccessKey>(after, limit))
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.record.access_key_id)
        .collect()
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for id in ["b", "a", "c"] {
        store.commit(move |tx| tx.insert(&key(id))).await.unwrap();
    }
    drop(store);
    let store = Store::open(directory.path(), "incarnation-2").unwrap();
    assert_eq!(names(&store, None, 10).await, ["a", "b", "c"]);
    assert_eq!(names(&store, Some("a"), 1).await, ["b"]);
    let generation = store.read(|tx| tx.generation()).await.unwrap();
    assert_eq!(generation.incarnation, "incarnation-1");
    assert_eq!(generation.number, *store.changes().borrow());
}

#[tokio::test]
async fn an_error_rolls_everything_back_and_wakes_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut changes = store.changes();
    changes.mark_unchanged();
    let result: Result<(), StoreError> = store
        .commit(|tx| {
            tx.insert(&key("a"))?;
            Err(StoreError::Closed)
        })
        .await;
    assert!(result.is_err());
    assert_eq!(names(&store, None, 10).await.len(), 0);
    assert!(!changes.has_changed().unwrap());
    store.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    assert!(changes.has_changed().unwrap());
}

#[tokio::test]
async fn versions_guard_updates_and_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    let again = store.commit(|tx| tx.insert(&key("a"))).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })));
    let read = store
        .read(|tx| tx.get::<AccessKey>("a"))
        .await
        .unwrap()
        .unwrap();
    let mut changed = read.clone();
    changed.record.disabled = true;
    store.commit(move |tx| tx.update(&changed)).await.unwrap();
    let stale = read.clone();
    let late = store.commit(move |tx| tx.update(&stale)).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })));
    let late = store
        .commit(move |tx| tx.delete::<AccessKey>("a", read.version))
        .await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })));
    store
        .commit(|tx| {
            let row = tx.get::<AccessKey>("a")?.ok_or(StoreError::Closed)?;
            tx.delete::<AccessKey>("a", row.version)
        })
        .await
        .unwrap();
    assert_eq!(names(&store, None, 10).await.len(), 0);
}

#[tokio::test]
async fn a_reading_transaction_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let result = store.read(|tx| tx.insert(&key("a"))).await;
    assert!(matches!(result, Err(StoreError::Database { .. })));
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_set_apart_or_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for id in ["a", "b", "c", "d"] {
        store.commit(move |tx| tx.insert(&key(id))).await.unwrap();
    }
    let sql = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    sql.execute_batch(
        r#"UPDATE records SET body = 'no JSON' WHERE id = 'b';
           UPDATE records SET body = replace(body, '"format":1', '"format":9') WHERE id = 'c';"#,
    )
    .unwrap();
    let (rows, apart) = store.read(|tx| tx.sorted::<AccessKey>()).await.unwrap();
    let names: Vec<_> = rows.iter().map(|row| row.record.id()).collect();
    assert_eq!(names, ["a", "d"]);
    let ids: Vec<_> = apart.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["b", "c"]);
    assert_eq!(apart[0].text("/access_key_id"), None);
    assert_eq!(apart[1].text("/access_key_id").unwrap(), "c");
    assert!(apart[1].reason.contains("format is 9"));
    assert!(!format!("{apart:?}").contains("sealed"), "no bodies");
    let all = store.read(|tx| tx.list::<AccessKey>(None, 9)).await;
    assert!(matches!(all, Err(StoreError::Broken { .. })));
}

#[tokio::test]
async fn two_handles_on_one_file_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let (serving, command) = (open(directory.path()), open(directory.path()));
    command.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    assert_eq!(names(&serving, None, 10).await, ["a"]);
}

async fn set_pages_max(store: &Store, pages: u32) {
    let job = move |connection: &mut rusqlite::Connection, _: &Mode| {
        connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
    };
    store.writer.submit(Box::new(job)).await.unwrap();
}

#[tokio::test]
async fn a_full_database_is_named_and_works_again_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    set_pages_max(&store, 1).await;
    let large = || AccessKey {
        name: Some("x".repeat(1 << 16)),
        ..key("a")
    };
    let full = store.commit(move |tx| tx.insert(&large())).await;
    let text = full.unwrap_err().to_string();
    assert!(text.contains(DATABASE_FILE), "{text}");
    assert!(text.contains("is full; free space"), "{text}");
    set_pages_max(&store, 1 << 20).await;
    store.commit(move |tx| tx.insert(&large())).await.unwrap();
    assert_eq!(names(&store, None, 10).await, ["a"]);
}

#[tokio::test]
async fn the_last_handle_waits_for_what_was_handed_in() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    tokio::select! {
        biased;
        result = store.commit(|tx| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            tx.insert(&key("a"))
        }) => panic!("committed at once: {result:?}"),
        () = std::future::ready(()) => {}
    }
    drop(store);
    let wal = directory.path().join(format!("{DATABASE_FILE}-wal"));
    assert!(!wal.exists(), "the database is not closed");
    assert_eq!(names(&open(directory.path()), None, 10).await, ["a"]);
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let sql = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(
        Store::open(directory.path(), "x"),
        Err(StoreError::TooNew { found: 99, .. })
    ));
}

#[test]
fn the_database_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path());
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
    }
}

#[test]
fn due_tasks_are_found_by_their_index() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let sql = Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {}", transaction::DUE_TASKS);
    let plan: String = sql
        .query_row(&explain, (1, 100), |row| row.get("detail"))
        .unwrap();
    assert!(plan.contains("USING INDEX records_due_tasks"), "{plan}");
}
