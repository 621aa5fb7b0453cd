mod bed;
mod contract;
mod crash;
mod postgres;

use super::*;
use crate::records::AccessKey;

fn key(id: &str) -> AccessKey {
    AccessKey {
        access_key_id: id.to_owned(),
        secret: serde_json::from_str("\"sealed\"").unwrap(),
        description: None,
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

async fn set_pages_max(store: &Store, pages: u32) {
    let job = move |connection: &mut Connection, _: &Mode| {
        let Connection::Sqlite(connection) = connection else {
            panic!("the database is SQLite");
        };
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
        description: Some("x".repeat(1 << 16)),
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
async fn the_last_handle_closes_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    drop(store);
    let wal = directory.path().join(format!("{DATABASE_FILE}-wal"));
    assert!(!wal.exists(), "the database is not closed");
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
    let sql = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {}", sqlite::DUE_TASKS);
    let plan: String = sql
        .query_row(&explain, (1, 100), |row| row.get("detail"))
        .unwrap();
    assert!(plan.contains("USING INDEX records_due_tasks"), "{plan}");
}
