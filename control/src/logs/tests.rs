//! Lines are kept each once, on both databases.

use datasync_model::{Severity, TaskExecutionArn};

use super::*;
use crate::fleet::fixture;
use crate::store::Store;
use crate::store::test_server::{Server, settings};

fn line(text: &str) -> LogLine {
    LogLine {
        at_ms: 0,
        severity: Severity::Info,
        text: text.to_owned(),
    }
}

fn part(execution: &TaskExecutionArn, log_id: &str, first: u64, texts: &[&str]) -> Part {
    Part {
        execution: execution.clone(),
        log_id: log_id.to_owned(),
        first,
        lines: texts.iter().map(|text| line(text)).collect(),
    }
}

async fn kept(store: &Store, part: Part) -> u64 {
    kept_of(store, 0, part).await
}

async fn kept_of(store: &Store, agent: u8, part: Part) -> u64 {
    let agent = fixture::agent(agent);
    let keep = move |rows: &Transaction<'_>| keep(rows, &agent, part);
    store.commit(keep).await.unwrap()
}

async fn texts(store: &Store, execution: &TaskExecutionArn) -> Vec<String> {
    let id = execution.id().to_owned();
    let chunks = move |rows: &Transaction<'_>| rows.list_children::<LogChunk>(&id, None, 100);
    let chunks = store.read(chunks).await.unwrap().into_iter();
    let lines = chunks.flat_map(|chunk| chunk.record.lines);
    lines.map(|line| line.text).collect()
}

async fn each_line_is_kept_once(store: &Store) {
    let mut row = fixture::execution_row(1, 1);
    row.agent = Some(fixture::agent(0));
    let arn = row.arn().clone();
    store.commit(move |rows| rows.insert(&row)).await.unwrap();
    assert_eq!(kept(store, part(&arn, "x", 0, &["a", "b"])).await, 2);
    assert_eq!(kept(store, part(&arn, "x", 0, &["a", "b", "c"])).await, 3);
    assert_eq!(
        kept(store, part(&arn, "x", 1, &["b"])).await,
        3,
        "older ones"
    );
    assert_eq!(kept(store, part(&arn, "x", 7, &["h"])).await, 3, "a gap");
    assert_eq!(
        kept(store, part(&arn, "y", 0, &["A"])).await,
        1,
        "another agent"
    );
    assert_eq!(kept(store, part(&arn, "x", 3, &["d"])).await, 4);
    assert_eq!(texts(store, &arn).await, ["a", "b", "c", "A", "d"]);
    let unknown = fixture::execution_row(1, 2).arn().clone();
    assert_eq!(kept(store, part(&unknown, "x", 0, &["a", "b"])).await, 2);
    assert_eq!(texts(store, &unknown).await, [""; 0]);
    let ids = [arn.id().to_owned()];
    store.commit(move |rows| forget(rows, &ids)).await.unwrap();
    assert_eq!(texts(store, &arn).await, [""; 0]);
}

/// An execution moves from agent 0 to agent 1; agent 2 could run it, and never did.
async fn the_logs_of_two_agents_are_kept_apart_and_each_in_order(store: &Store) {
    let mut row = fixture::execution_row(1, 3);
    row.agent = Some(fixture::agent(0));
    let arn = row.arn().clone();
    let id = arn.id().to_owned();
    store.commit(move |rows| rows.insert(&row)).await.unwrap();
    assert_eq!(kept_of(store, 0, part(&arn, "x", 0, &["a", "b"])).await, 2);
    assert_eq!(kept_of(store, 1, part(&arn, "y", 0, &["early"])).await, 1);
    let moved = move |rows: &Transaction<'_>| {
        let mut row = rows.get::<Execution>(&id)?.unwrap();
        let tenure = row.record.tenure.next(true);
        row.record.move_to(fixture::agent(1), tenure);
        rows.update(&row)
    };
    store.commit(moved).await.unwrap();
    assert_eq!(kept_of(store, 1, part(&arn, "y", 0, &["A"])).await, 1);
    // What the first one had not sent yet.
    assert_eq!(kept_of(store, 0, part(&arn, "x", 1, &["b", "c"])).await, 3);
    assert_eq!(kept_of(store, 1, part(&arn, "y", 1, &["B"])).await, 2);
    // By an id that is not its own, and by an agent that never had it: nothing is mixed up.
    assert_eq!(kept_of(store, 1, part(&arn, "x", 3, &["no"])).await, 0);
    assert_eq!(kept_of(store, 2, part(&arn, "x", 3, &["no"])).await, 4);
    assert_eq!(kept_of(store, 0, part(&arn, "x", 3, &["d"])).await, 4);
    let texts = texts(store, &arn).await;
    assert_eq!(texts, ["a", "b", "A", "c", "B", "d"]);
}

#[tokio::test]
async fn on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), "test").unwrap();
    Box::pin(each_line_is_kept_once(&store)).await;
    Box::pin(the_logs_of_two_agents_are_kept_apart_and_each_in_order(
        &store,
    ))
    .await;
}

#[tokio::test]
async fn on_postgresql() {
    let server = Server::start();
    let settings = settings(&server.new_database());
    let opened = Store::connect(&settings, "test", |_| Ok::<_, StoreError>(()));
    let (store, ()) = opened.unwrap();
    Box::pin(each_line_is_kept_once(&store)).await;
    Box::pin(the_logs_of_two_agents_are_kept_apart_and_each_in_order(
        &store,
    ))
    .await;
}

#[test]
fn what_is_kept_of_one_execution_is_bounded() {
    let (arn, agent) = (
        fixture::execution_row(1, 1).arn().clone(),
        fixture::agent(0),
    );
    let mut log = ExecutionLog::new(arn.clone());
    log.lines = LOG_LINES_MAX - 1;
    let (next, kept) = take(&mut log, &agent, part(&arn, "x", 0, &["a", "b", "c"]));
    assert_eq!((next, kept.len(), log.left_out), (3, 1, 2));
    let mut log = ExecutionLog::new(arn.clone());
    log.bytes = LOG_BYTES_MAX - line("a").size();
    let (_, kept) = take(&mut log, &agent, part(&arn, "x", 0, &["a", "b"]));
    assert_eq!((kept.len(), log.bytes), (1, LOG_BYTES_MAX));
    for number in 0..SOURCES_MAX + 5 {
        take(&mut log, &agent, part(&arn, &number.to_string(), 0, &["a"]));
    }
    assert_eq!(log.sources.len(), SOURCES_MAX);
}

#[test]
fn an_execution_remembers_a_bounded_number_of_agents() {
    let mut row = fixture::execution_row(1, 1);
    for number in 0..40 {
        row.move_to(fixture::agent(number), row.tenure.next(true));
    }
    assert_eq!(row.earlier_agents.len(), 16);
    assert!(row.was_given_to(&fixture::agent(39)) && row.was_given_to(&fixture::agent(23)));
    assert!(!row.was_given_to(&fixture::agent(22)));
    row.move_to(fixture::agent(30), row.tenure.next(true));
    assert_eq!(row.earlier_agents.last(), Some(&fixture::agent(39)));
}
