//! Power cuts: the files as they were at a moment, and with a log that ends anywhere.
//!
//! A commit that was acknowledged was synced before (`synchronous=FULL`): what a cut after it
//! leaves behind holds at least the files' contents of that moment.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

const COMMITS: usize = 40;
/// Of a WAL file and of each frame in it (SQLite file format, section 4.1).
const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;

fn wal(directory: &Path) -> PathBuf {
    directory.join(format!("{DATABASE_FILE}-wal"))
}

/// What a cut at this moment leaves: the shared memory file is no more.
fn cut(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    fs::copy(from.join(DATABASE_FILE), to.path().join(DATABASE_FILE)).unwrap();
    if wal(from).exists() {
        fs::copy(wal(from), wal(to.path())).unwrap();
    }
    to
}

fn id(number: usize) -> String {
    format!("key-{number:04}")
}

/// How many commits a store found; they must be the first ones, each whole.
async fn found(directory: &Path) -> usize {
    let store = open(directory);
    let rows = store
        .read(|tx| tx.list::<AccessKey>(None, usize::MAX))
        .await
        .unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.record.id()).collect();
    let expected: Vec<String> = (0..names.len()).map(id).collect();
    assert_eq!(names, expected, "a prefix of the commits");
    assert_eq!(names.len() % 2, 0, "a commit is all or nothing");
    let generation = store.read(|tx| tx.generation()).await.unwrap().number;
    assert_eq!(
        generation as usize,
        1 + names.len() / 2,
        "with its generation"
    );
    // And it goes on from there.
    store.commit(|tx| tx.insert(&key("later"))).await.unwrap();
    names.len() / 2
}

async fn commit(store: &Store, number: usize) {
    store
        .commit(move |tx| {
            tx.insert(&key(&id(2 * number)))?;
            tx.insert(&key(&id(2 * number + 1)))
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn every_acknowledged_commit_survives_a_cut() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..COMMITS {
        commit(&store, number).await;
        let left = cut(directory.path());
        assert_eq!(found(left.path()).await, number + 1);
    }
}

#[tokio::test]
async fn a_cut_at_a_checkpoint_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..COMMITS {
        commit(&store, number).await;
        if number % 5 == 4 {
            let sql = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
            let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][number / 5 % 4];
            let pragma = format!("PRAGMA wal_checkpoint({mode})");
            sql.query_row(&pragma, [], |_| Ok(())).unwrap();
        }
        let left = cut(directory.path());
        assert_eq!(found(left.path()).await, number + 1);
    }
}

#[tokio::test]
async fn a_log_that_ends_anywhere_is_a_prefix_of_the_commits() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..COMMITS {
        commit(&store, number).await;
    }
    let length = fs::metadata(wal(directory.path())).unwrap().len() as usize;
    let frame = FRAME_HEADER + PAGE;
    assert!(
        length > WAL_HEADER + COMMITS * frame,
        "{length}: not checkpointed yet"
    );
    // Around every frame's edges, and in the middle of headers and pages.
    let edges = (WAL_HEADER..=length).step_by(frame);
    let mut cuts: Vec<usize> = edges
        .flat_map(|edge| {
            [
                edge.saturating_sub(1),
                edge,
                edge + 1,
                edge + 12,
                edge + 2000,
            ]
        })
        .filter(|cut| *cut <= length)
        .collect();
    cuts.extend([0, 1, WAL_HEADER / 2]);
    cuts.sort_unstable();
    let mut before = 0;
    for at in cuts.into_iter().step_by(3) {
        let left = cut(directory.path());
        let file = fs::OpenOptions::new()
            .write(true)
            .open(wal(left.path()))
            .unwrap();
        file.set_len(at as u64).unwrap();
        let commits = found(left.path()).await;
        assert!(commits >= before, "cut at {at}: {commits} after {before}");
        before = commits;
    }
    assert_eq!(found(cut(directory.path()).path()).await, COMMITS);
}

#[tokio::test]
async fn a_torn_page_ends_the_log_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..COMMITS {
        commit(&store, number).await;
    }
    let whole = fs::read(wal(directory.path())).unwrap();
    for part in 1..20 {
        let left = cut(directory.path());
        let mut torn = whole.clone();
        let at = WAL_HEADER + (torn.len() - WAL_HEADER) * part / 20;
        torn[at..].fill(0);
        fs::write(wal(left.path()), torn).unwrap();
        assert!(found(left.path()).await <= COMMITS);
    }
}
