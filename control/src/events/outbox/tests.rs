use std::path::Path;

use datasync_model::AgentStatus;

use super::*;
use crate::events::queue::{OFFERED_MAX_MS, advance, queue};
use crate::fleet::fixture;
use crate::records::{Delivery, Event, Readiness};
use crate::store::Store;

async fn store(directory: &Path) -> Store {
    Store::open(directory, "incarnation").unwrap()
}

async fn changed<R: Record + Clone>(store: &Store, record: R) {
    let put = move |rows: &Transaction<'_>| match rows.get::<R>(&record.id())? {
        Some(row) => rows.update(&Versioned { record, ..row }),
        None => rows.insert(&record),
    };
    store.commit(put).await.unwrap();
}

async fn deleted<R: Record>(store: &Store, id: String) {
    let delete = move |rows: &Transaction<'_>| {
        let version = rows.get::<R>(&id)?.unwrap().version;
        rows.delete::<R>(&id, version)
    };
    store.commit(delete).await.unwrap();
}

async fn told(store: &Store) -> Vec<(String, String)> {
    let events = store.read(|rows| rows.list::<Event>(None, 100)).await;
    let events = events.unwrap().into_iter().map(|row| row.record);
    events
        .map(|event| {
            let kind = event.subject.id().split('-').next().unwrap().to_owned();
            (kind, event.state)
        })
        .collect()
}

fn agent(fingerprint: &str) -> Agent {
    Agent {
        arn: fixture::agent(0),
        name: None,
        created_at_ms: 0,
        public_key_fingerprint: Some(fingerprint.to_owned()),
        tags: crate::records::Tags::new(),
    }
}

fn presence(reported: AgentStatus, last_contact_ms: i64) -> AgentPresence {
    AgentPresence {
        reported,
        last_contact_ms,
        ..fixture::presence(0)
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(kind, state): &(&str, &str)| ((*kind).to_owned(), (*state).to_owned());
    expected.iter().map(owned).collect()
}

#[tokio::test]
async fn an_agent_tells_when_it_comes_and_goes_and_not_at_each_heartbeat() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    changed(&store, agent("one")).await;
    for (status, at) in [
        (AgentStatus::Online, 1),
        (AgentStatus::Online, 2),
        (AgentStatus::Offline, 3),
        (AgentStatus::Online, 4),
    ] {
        changed(&store, presence(status, at)).await;
    }
    changed(&store, agent("two")).await;
    let expected = pairs(&[
        ("agent", "ONLINE"),
        ("agent", "OFFLINE"),
        ("agent", "ONLINE"),
    ]);
    assert_eq!(told(&store).await, expected);
    deleted::<Agent>(&store, agent("two").id()).await;
    let left = store.read(|rows| rows.list::<Announced>(None, 10)).await;
    assert_eq!(left.unwrap(), []);
}

#[tokio::test]
async fn warnings_are_told_once_along_with_states() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    changed(&store, agent("one")).await;
    let with_free = |free: u64, at| AgentPresence {
        host: Some(serde_json::json!({
            "state_disk_total_bytes": 1000, "state_disk_available_bytes": free,
        })),
        ..presence(AgentStatus::Online, at)
    };
    for (free, at) in [(500, 1), (50, 2), (60, 3), (500, 4), (500, 5)] {
        changed(&store, with_free(free, at)).await;
    }
    let expected = pairs(&[
        ("agent", "ONLINE"),
        ("agent", "RAISED"),
        ("agent", "CLEARED"),
    ]);
    assert_eq!(told(&store).await, expected);
    let events = store.read(|rows| rows.list::<Event>(None, 10)).await;
    let kinds: Vec<_> = events
        .unwrap()
        .into_iter()
        .map(|row| row.record.warning)
        .collect();
    assert_eq!(kinds.iter().flatten().count(), 2);
    assert_eq!(
        kinds[1].as_ref().unwrap().kind,
        crate::records::WarningKind::StateDiskLow
    );
}

#[tokio::test]
async fn a_certificate_of_controls_own_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let life = |until_ms| Life {
        from_ms: 0,
        until_ms,
    };
    for now_ms in [0, 900, 950] {
        let warn = move |rows: &Transaction<'_>| {
            warn_of_control(
                rows,
                "arn:…:control/1",
                (&[life(1000)], life(100_000)),
                now_ms,
            )
        };
        store.commit(warn).await.unwrap();
    }
    let events = store
        .read(|rows| rows.list::<Event>(None, 10))
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].record.at_ms, 900);
}

#[tokio::test]
async fn a_task_follows_its_executions() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let mut task = fixture::task_row(1, None);
    changed(&store, task.clone()).await;
    task.readiness = Readiness::Available;
    changed(&store, task).await;
    let mut execution = fixture::execution_row(1, 1);
    for status in [
        ExecutionStatus::Queued,
        ExecutionStatus::Launching,
        ExecutionStatus::Launching,
        ExecutionStatus::Success,
    ] {
        execution.status = status;
        execution.ended_at_ms = status.is_terminal().then_some(1);
        changed(&store, execution.clone()).await;
    }
    execution.tags.insert("k".to_owned(), "v".to_owned());
    changed(&store, execution.clone()).await;
    deleted::<Execution>(&store, execution.id()).await;
    let expected = pairs(&[
        ("task", "CREATING"),
        ("task", "AVAILABLE"),
        ("exec", "QUEUED"),
        ("task", "QUEUED"),
        ("exec", "LAUNCHING"),
        ("task", "RUNNING"),
        ("exec", "SUCCESS"),
        ("task", "AVAILABLE"),
    ]);
    assert_eq!(told(&store).await, expected);
}

#[tokio::test]
async fn what_is_older_than_events_is_told_only_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let (task, execution) = (fixture::task_row(1, None), fixture::execution_row(1, 1));
    changed(&store, agent("one")).await;
    changed(&store, presence(AgentStatus::Online, 1)).await;
    changed(&store, task.clone()).await;
    changed(&store, execution).await;
    // As a release without events leaves it.
    let forgetting = |rows: &Transaction<'_>| {
        for row in rows.list::<Announced>(None, 10)? {
            rows.delete::<Announced>(&row.record.id(), row.version)?;
        }
        for row in rows.list::<Event>(None, 10)? {
            rows.delete::<Event>(&row.record.sequence, row.version)?;
        }
        Ok::<_, StoreError>(())
    };
    store.commit(forgetting).await.unwrap();
    crate::events::adopt(&store).await.unwrap();
    changed(&store, presence(AgentStatus::Online, 2)).await;
    changed(&store, task).await;
    assert_eq!(told(&store).await, []);
    changed(&store, presence(AgentStatus::Offline, 3)).await;
    assert_eq!(told(&store).await, pairs(&[("agent", "OFFLINE")]));
    // Once: what is new since was told when it was made.
    store.commit(forgetting).await.unwrap();
    crate::events::adopt(&store).await.unwrap();
    changed(&store, presence(AgentStatus::Offline, 4)).await;
    assert_eq!(told(&store).await, pairs(&[("agent", "OFFLINE")]));
}

#[tokio::test]
async fn a_commit_that_fails_tells_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let failing = |rows: &Transaction<'_>| {
        rows.insert(&fixture::task_row(1, None))?;
        Err::<(), _>(StoreError::Closed)
    };
    assert!(store.commit(failing).await.is_err());
    assert_eq!(told(&store).await, []);
}

#[tokio::test]
async fn events_go_once_everybody_was_told_and_only_the_holder_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    for number in 1..=3 {
        changed(&store, fixture::task_row(number, None)).await;
    }
    let events = store.read(|rows| rows.list::<Event>(None, 10)).await;
    let events: Vec<Event> = events.unwrap().into_iter().map(|row| row.record).collect();
    let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), 3);
    let note = async |receiver: &str, index: usize, holder: &str| {
        let delivery = Delivery {
            receiver: receiver.to_owned(),
            delivered: events[index].sequence.clone(),
            holder: holder.to_owned(),
        };
        let noted = move |rows: &Transaction<'_>| advance(rows, &delivery, &["file", "webhook"], 0);
        store.commit(noted).await.unwrap()
    };
    assert!(note("file", 2, "us").await);
    assert_eq!(told(&store).await.len(), 3, "the webhook has none");
    assert!(note("webhook", 1, "us").await);
    assert_eq!(told(&store).await.len(), 1);
    assert!(!note("webhook", 2, "another").await);
    assert_eq!(told(&store).await.len(), 1);
    let length = |rows: &Transaction<'_>| queue(rows).map(|row| row.record.length);
    assert_eq!(store.commit(length).await.unwrap(), 1);
}

#[tokio::test]
async fn what_another_control_has_to_tell_stays_for_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    changed(&store, fixture::task_row(1, None)).await;
    let events = store.read(|rows| rows.list::<Event>(None, 10)).await;
    let event = events.unwrap().remove(0).record;
    let note = async |receiver: &str, delivered: &str, ours: &[&'static str], now_ms: i64| {
        let (delivery, ours) = (
            Delivery {
                receiver: receiver.to_owned(),
                delivered: delivered.to_owned(),
                holder: "us".to_owned(),
            },
            ours.to_vec(),
        );
        let noted = move |rows: &Transaction<'_>| advance(rows, &delivery, &ours, now_ms);
        store.commit(noted).await.unwrap()
    };
    note("webhook", "", &["file", "webhook"], event.at_ms).await;
    note(
        "file",
        &event.sequence,
        &["file"],
        event.at_ms + OFFERED_MAX_MS - 1,
    )
    .await;
    assert_eq!(told(&store).await.len(), 1);
    note(
        "file",
        &event.sequence,
        &["file"],
        event.at_ms + OFFERED_MAX_MS,
    )
    .await;
    assert_eq!(told(&store).await.len(), 0);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_neither_commits_nor_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    changed(&store, fixture::task_row(1, None)).await;
    let file = rusqlite::Connection::open(Store::file(directory.path())).unwrap();
    let damage = "UPDATE records SET body = 'damaged' WHERE kind IN ('event', 'event-queue')";
    assert_eq!(file.execute(damage, []).unwrap(), 2);
    changed(&store, fixture::task_row(2, None)).await;
    let page = |rows: &Transaction<'_>| rows.sorted_page::<Event>(None, 10);
    let (events, unreadable) = store.read(page).await.unwrap();
    assert_eq!((events.len(), unreadable.len()), (1, 1));
    let delivery = Delivery {
        receiver: "file".to_owned(),
        delivered: events[0].record.sequence.clone(),
        holder: "us".to_owned(),
    };
    let noted = move |rows: &Transaction<'_>| advance(rows, &delivery, &["file"], 0);
    assert!(store.commit(noted).await.unwrap());
    let (events, unreadable) = store.read(page).await.unwrap();
    assert_eq!((events.len(), unreadable.len()), (0, 0));
}
