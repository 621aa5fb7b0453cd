use std::path::Path;

use datasync_model::{AgentStatus, TaskExecutionArn};

use super::*;
use crate::fleet::fixture;
use crate::store::Store;

fn agent(number: u8) -> Agent {
    Agent {
        arn: fixture::agent(number),
        name: None,
        created_at_ms: 0,
        public_key_fingerprint: Some(number.to_string()),
        tags: crate::records::Tags::new(),
    }
}

/// As the fixture's views see it.
fn presence(number: u8) -> AgentPresence {
    AgentPresence {
        reported: AgentStatus::Offline,
        last_contact_ms: fixture::at(0).as_millisecond(),
        replica: "here".to_owned(),
        ..fixture::presence(number)
    }
}

const FIRST: Tenure = Tenure {
    epoch: 1,
    leased: true,
};

/// Two agents, of which the first runs an execution under a lease.
async fn store(directory: &Path) -> (Store, TaskExecutionArn) {
    let store = Store::open(directory, "incarnation").unwrap();
    let mut running = fixture::execution_row(1, 1);
    let arn = running.arn().clone();
    running.status = ExecutionStatus::Transferring;
    (running.agent, running.tenure) = (Some(fixture::agent(0)), FIRST);
    let rows = move |rows: &Transaction<'_>| {
        rows.insert(&running)?;
        for number in [0, 1] {
            rows.insert(&agent(number))?;
            rows.insert(&presence(number))?;
        }
        Ok::<_, StoreError>(())
    };
    store.commit(rows).await.unwrap();
    (store, arn)
}

async fn change<R: crate::store::Record>(
    store: &Store,
    id: &str,
    change: impl FnOnce(&mut R) + Send + 'static,
) {
    let id = id.to_owned();
    let changed = move |rows: &Transaction<'_>| {
        let mut row = rows.get::<R>(&id)?.unwrap();
        change(&mut row.record);
        rows.update(&row)
    };
    store.commit(changed).await.unwrap();
}

fn seen() -> Seen {
    Seen::of(&fixture::snapshot(1).agents[&fixture::agent(0).to_string()])
}

/// Whether the execution moves to the second agent by a plan that saw the rows as they were made.
async fn moves(store: &Store, arn: &TaskExecutionArn) -> bool {
    let launch = Launch {
        execution: arn.clone(),
        agent: fixture::agent(1),
        tenure: FIRST.next(true),
        from: Some(Left {
            agent: fixture::agent(0),
            seen: seen(),
        }),
    };
    let written = move |rows: &Transaction<'_>| write_launch(rows, &launch, fixture::at(9));
    store.commit(written).await.unwrap()
}

#[tokio::test]
async fn an_execution_moves_once() {
    let directory = tempfile::tempdir().unwrap();
    let (store, arn) = store(directory.path()).await;
    assert!(moves(&store, &arn).await);
    assert!(!moves(&store, &arn).await, "it has moved already");
    let id = arn.id().to_owned();
    let row = store.read(move |rows| rows.get::<Execution>(&id)).await;
    let row = row.unwrap().unwrap().record;
    assert_eq!(row.agent, Some(fixture::agent(1)));
    assert_eq!(row.tenure, FIRST.next(true));
    assert_eq!(row.status, ExecutionStatus::Transferring);
}

#[tokio::test]
async fn an_execution_whose_agent_was_heard_of_meanwhile_stays() {
    for replica in ["here", "there"] {
        let directory = tempfile::tempdir().unwrap();
        let (store, arn) = store(directory.path()).await;
        let heard = move |row: &mut AgentPresence| {
            row.replica = replica.to_owned();
            row.last_contact_ms += i64::from(replica == "here");
        };
        change(&store, fixture::agent(0).id(), heard).await;
        assert!(!moves(&store, &arn).await, "{replica}");
    }
}

#[tokio::test]
async fn an_execution_that_is_cancelled_meanwhile_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (store, arn) = store(directory.path()).await;
    let cancel = |row: &mut Execution| row.status = ExecutionStatus::Cancelling;
    change(&store, arn.id(), cancel).await;
    assert!(!moves(&store, &arn).await);
}

#[tokio::test]
async fn an_abandoned_execution_goes_on_if_its_agent_was_heard_of_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (store, arn) = store(directory.path()).await;
    let cancel = |row: &mut Execution| row.status = ExecutionStatus::Cancelling;
    change(&store, arn.id(), cancel).await;
    let end = async || {
        let abandoned = Abandoned {
            execution: arn.clone(),
            agent: fixture::agent(0),
            why: Loss::Unreachable {
                last_connection: Some(fixture::at(0)),
                fenced: true,
                seen: seen(),
            },
        };
        let ended = move |rows: &Transaction<'_>| end_abandoned(rows, &abandoned, fixture::at(9));
        store.commit(ended).await.unwrap();
        let id = arn.id().to_owned();
        let row = store.read(move |rows| rows.get::<Execution>(&id)).await;
        row.unwrap().unwrap().record.status
    };
    let back = |row: &mut AgentPresence| row.last_contact_ms += 1;
    change(&store, fixture::agent(0).id(), back).await;
    assert_eq!(end().await, ExecutionStatus::Cancelling);
    let gone = |row: &mut AgentPresence| row.last_contact_ms -= 1;
    change(&store, fixture::agent(0).id(), gone).await;
    assert_eq!(end().await, ExecutionStatus::Error);
}

#[tokio::test]
async fn a_clone_is_remembered_once_a_minute_even_before_the_winner_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), "incarnation").unwrap();
    let refused = async |now_ms| {
        let written = move |rows: &Transaction<'_>| write_clone(rows, &fixture::agent(0), now_ms);
        store.commit(written).await.unwrap();
        let read = |rows: &Transaction<'_>| rows.get::<AgentPresence>(fixture::agent(0).id());
        let row: Result<_, StoreError> = store.read(read).await;
        row.unwrap()
            .map(|row| (row.record.reported, row.record.clone_seen_ms))
    };
    assert_eq!(refused(1_000).await, None, "there is no such agent");
    let added = |rows: &Transaction<'_>| rows.insert(&agent(0));
    store.commit::<_, StoreError>(added).await.unwrap();
    for (now_ms, seen_ms) in [(2_000, 2_000), (61_999, 2_000), (62_000, 62_000)] {
        let expected = Some((AgentStatus::Offline, Some(seen_ms)));
        assert_eq!(refused(now_ms).await, expected, "{now_ms}");
    }
}
