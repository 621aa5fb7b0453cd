//! What both databases must do.

use std::time::Duration;

use super::bed::{Bed, contract};
use super::{key, names};
use crate::records::AccessKey;
use crate::store::{Record, StoreError};

const PATIENCE: Duration = Duration::from_secs(30);

contract! {
    what_was_committed_is_there_after_reopening,
    an_error_rolls_everything_back_and_wakes_nobody,
    versions_guard_updates_and_deletes,
    a_conflict_in_the_middle_undoes_the_whole,
    a_reading_transaction_cannot_write,
    rows_that_cannot_be_read_are_set_apart_or_an_error,
    two_handles_see_each_other,
    writers_of_two_handles_take_turns,
    a_reader_sees_one_state,
    lists_are_in_the_order_of_bytes,
    the_last_handle_waits_for_what_was_handed_in,
    a_new_incarnation_keeps_the_rows,
    a_newer_schema_is_refused,
}

async fn what_was_committed_is_there_after_reopening(bed: &Bed<'_>) {
    let store = bed.open();
    for id in ["b", "a", "c"] {
        store.commit(move |tx| tx.insert(&key(id))).await.unwrap();
    }
    drop(store);
    let store = bed.open_as("incarnation-2").unwrap();
    assert_eq!(names(&store, None, 10).await, ["a", "b", "c"]);
    assert_eq!(names(&store, Some("a"), 1).await, ["b"]);
    let generation = store.read(|tx| tx.generation()).await.unwrap();
    assert_eq!(generation.incarnation, "incarnation-1");
    assert_eq!(generation.number, 4);
    assert_eq!(generation.number, *store.changes().borrow());
}

async fn an_error_rolls_everything_back_and_wakes_nobody(bed: &Bed<'_>) {
    let store = bed.open();
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

async fn versions_guard_updates_and_deletes(bed: &Bed<'_>) {
    let store = bed.open();
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

async fn a_conflict_in_the_middle_undoes_the_whole(bed: &Bed<'_>) {
    let store = bed.open();
    store.commit(|tx| tx.insert(&key("b"))).await.unwrap();
    let result = store
        .commit(|tx| {
            tx.insert(&key("a"))?;
            tx.insert(&key("b"))
        })
        .await;
    assert!(matches!(result, Err(StoreError::Conflict { id, .. }) if id == "b"));
    assert_eq!(names(&store, None, 10).await, ["b"]);
}

async fn a_reading_transaction_cannot_write(bed: &Bed<'_>) {
    let store = bed.open();
    let result = store.read(|tx| tx.insert(&key("a"))).await;
    assert!(matches!(result, Err(StoreError::Database { .. })));
    assert_eq!(names(&store, None, 10).await.len(), 0);
}

async fn rows_that_cannot_be_read_are_set_apart_or_an_error(bed: &Bed<'_>) {
    let store = bed.open();
    for id in ["a", "b", "c", "d"] {
        store.commit(move |tx| tx.insert(&key(id))).await.unwrap();
    }
    bed.sql(
        r#"UPDATE records SET body = 'no JSON' WHERE id = 'b';
           UPDATE records SET body = replace(body, '"format":1', '"format":9') WHERE id = 'c';"#,
    );
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

async fn two_handles_see_each_other(bed: &Bed<'_>) {
    let (serving, command) = (bed.open(), bed.open());
    command.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    assert_eq!(names(&serving, None, 10).await, ["a"]);
}

async fn writers_of_two_handles_take_turns(bed: &Bed<'_>) {
    const EACH: usize = 25;
    let stores = [bed.open(), bed.open()];
    stores[0].commit(|tx| tx.insert(&key("n"))).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = stores[number % 2].clone();
        writers.spawn(async move {
            for _ in 0..EACH {
                // Read and written back: none may be lost, and none needs to be repeated.
                let added = store.commit(|tx| {
                    let mut row = tx.get::<AccessKey>("n")?.ok_or(StoreError::Closed)?;
                    row.record.created_at_ms += 1;
                    tx.update(&row)
                });
                added.await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let row = stores[1].read(|tx| tx.get::<AccessKey>("n")).await.unwrap();
    let row = row.unwrap();
    assert_eq!(row.record.created_at_ms, 1 + 4 * EACH as i64);
    let generation = stores[0].read(|tx| tx.generation()).await.unwrap();
    assert_eq!(generation.number, 2 + 4 * EACH as u64);
}

async fn a_reader_sees_one_state(bed: &Bed<'_>) {
    let (reading, writing) = (bed.open(), bed.open());
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (written, is_written) = std::sync::mpsc::channel::<()>();
    let read = reading.read(move |tx| {
        let before = tx.list::<AccessKey>(None, 9)?.len();
        begun.send(()).unwrap();
        is_written.recv_timeout(PATIENCE).unwrap();
        let generation = tx.generation()?.number;
        Ok::<_, StoreError>((before, tx.list::<AccessKey>(None, 9)?.len(), generation))
    });
    let write = async {
        has_begun.await.unwrap();
        writing.commit(|tx| tx.insert(&key("a"))).await.unwrap();
        written.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(read, write);
    assert_eq!(read.unwrap(), (0, 0, 1));
    assert_eq!(names(&reading, None, 10).await, ["a"]);
}

async fn lists_are_in_the_order_of_bytes(bed: &Bed<'_>) {
    let store = bed.open();
    let mut ids = [
        "b",
        "a b",
        "a-b",
        "aB",
        "ab",
        "é",
        "z",
        "Z",
        "~",
        "\u{1f600}",
        "\u{ffff}",
    ];
    let inserted = store.commit(move |tx| ids.iter().try_for_each(|id| tx.insert(&key(id))));
    inserted.await.unwrap();
    ids.sort_unstable();
    assert_eq!(names(&store, None, 20).await, ids);
    assert_eq!(names(&store, Some("ab"), 2).await, ["b", "z"]);
}

async fn the_last_handle_waits_for_what_was_handed_in(bed: &Bed<'_>) {
    let store = bed.open();
    tokio::select! {
        biased;
        result = store.commit(|tx| {
            std::thread::sleep(Duration::from_millis(100));
            tx.insert(&key("a"))
        }) => panic!("committed at once: {result:?}"),
        () = std::future::ready(()) => {}
    }
    drop(store);
    assert_eq!(names(&bed.open(), None, 10).await, ["a"]);
}

async fn a_new_incarnation_keeps_the_rows(bed: &Bed<'_>) {
    let store = bed.open();
    store.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    let renewed = store.commit(|tx| tx.set_incarnation("next"));
    renewed.await.unwrap();
    let generation = store.read(|tx| tx.generation()).await.unwrap();
    assert_eq!(
        (generation.incarnation.as_str(), generation.number),
        ("next", 3)
    );
    assert_eq!(names(&store, None, 10).await, ["a"]);
}

async fn a_newer_schema_is_refused(bed: &Bed<'_>) {
    drop(bed.open());
    bed.raise_schema();
    assert!(matches!(
        bed.open_as("x"),
        Err(StoreError::TooNew { found: 99, .. })
    ));
}
