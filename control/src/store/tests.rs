pub(crate) mod bed;
mod contract;
mod crash;
mod finding;
mod postgres;

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

/// Each statement and the index that answers it.
fn plans() -> [(&'static str, &'static str); 14] {
    let lists = &sqlite::STATEMENTS;
    [
        (
            transaction::ONE,
            "USING INDEX sqlite_autoindex_records_1 (kind=? AND id=?)",
        ),
        (
            super::lists::PAGE,
            "USING INDEX sqlite_autoindex_records_1 (kind=? AND id>?)",
        ),
        (
            lists.several,
            "USING INDEX sqlite_autoindex_records_1 (kind=? AND id=?)",
        ),
        (
            lists.children,
            "USING INDEX records_by_parent (kind=? AND parent=? AND id>?)",
        ),
        (
            lists.live_executions,
            "USING INDEX records_live_executions (id>?)",
        ),
        (
            lists.launched_executions,
            "USING INDEX records_launched_executions",
        ),
        (
            lists.queued_executions,
            "USING INDEX records_queued_executions (<expr>>?)",
        ),
        (
            lists.live_of_task,
            "USING INDEX records_live_of_task (parent=?)",
        ),
        (
            lists.live_of_tasks,
            "USING INDEX records_live_of_task (parent=?)",
        ),
        (
            lists.ended_executions,
            "USING INDEX records_ended_executions (<expr>>? AND <expr><?)",
        ),
        (
            lists.planned_tasks,
            "USING INDEX records_due_tasks (kind=? AND <expr>>? AND <expr><?)",
        ),
        (
            lists.tasks_by_readiness,
            "USING INDEX records_tasks_by_readiness (<expr>=? AND id>?)",
        ),
        (
            lists.tasks_by_source,
            "USING INDEX records_tasks_by_source (<expr>=? AND id>?)",
        ),
        (
            lists.tasks_by_destination,
            "USING INDEX records_tasks_by_destination (<expr>=? AND id>?)",
        ),
    ]
}

/// Lists and descriptions read what they show, however many rows there are.
#[test]
fn every_statement_is_answered_by_an_index_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let sql = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    for (statement, index) in plans() {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let mut explain = sql.prepare(&explain).unwrap();
        let values = vec!["1"; explain.parameter_count()];
        let values = rusqlite::params_from_iter(values);
        let steps = explain.query_map(values, |row| row.get("detail")).unwrap();
        let steps: Vec<String> = steps.map(|step| step.unwrap()).collect();
        assert!(steps[0].contains(index), "{steps:?}");
        // The only further steps take a list of ids apart.
        let of_rows = steps.iter().filter(|step| step.contains("records"));
        assert_eq!(of_rows.count(), 1, "{steps:?}");
        let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorts, "{steps:?}");
    }
}
