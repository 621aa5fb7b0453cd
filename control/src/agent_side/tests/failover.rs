//! Executions that move from an agent that is gone to another one.

use std::path::Path;
use std::time::Duration;

use datasync_model::{Ability, AgentArn, AgentStatus, ExecutionStatus, TaskExecutionArn, Tenure};
use datasync_proto::DesiredState;
use datasync_proto::control_message::Message as Down;
use tokio::time::Instant;

use super::replicas::{Replicas, at};
use super::work::{add_execution, add_task, change, execution, report_of, runs, until};
use super::world::{Attached, Control, Machine, PATIENCE};
use crate::config::Config;

const OFFLINE_AFTER: Duration = Duration::from_secs(2);
const FAILOVER_AFTER: Duration = Duration::from_secs(4);
const BEAT: Duration = Duration::from_millis(250);
const TRANSFERRING: ExecutionStatus = ExecutionStatus::Transferring;

fn soon(config: &mut Config) {
    config.offline_after = OFFLINE_AFTER;
    config.failover_after = FAILOVER_AFTER;
}

async fn start(directory: &Path) -> Control {
    Control::with(directory, soon).await
}

/// An agent that knows leases, with a session.
async fn leasing(control: &Control) -> (Machine, AgentArn, Attached) {
    let (mut machine, agent) = control.activated().await;
    machine.abilities = vec![Ability::Lease.to_string()];
    let attached = machine.attach("boot").await.unwrap();
    (machine, agent, attached)
}

fn tenure(desired: &DesiredState, arn: &TaskExecutionArn) -> Option<Tenure> {
    let mut executions = desired.executions.iter();
    let found = executions.find(|wanted| wanted.spec().unwrap().execution == *arn)?;
    Some(found.tenure())
}

const FIRST: Tenure = Tenure {
    epoch: 1,
    leased: true,
};
const SECOND: Tenure = Tenure {
    epoch: 2,
    leased: true,
};

/// Two agents, of which the first runs an execution that the second may take over.
struct Pair {
    first: Machine,
    second: Machine,
    second_agent: AgentArn,
    attached: [Attached; 2],
    arn: TaskExecutionArn,
}

impl Pair {
    async fn new(control: &Control) -> Self {
        let task = add_task(control).await;
        let (first, first_agent, mut one) = leasing(control).await;
        let (second, second_agent, two) = leasing(control).await;
        control
            .until_status(&second_agent, AgentStatus::Online)
            .await;
        control
            .until_status(&first_agent, AgentStatus::Online)
            .await;
        let arn = add_execution(control, &task, 1).await;
        // Whichever comes first in the order of ids.
        let launched = until(control, &arn, |row| row.agent.is_some()).await;
        if launched.agent != Some(first_agent.clone()) {
            let mut two = two;
            two.desired(|desired| tenure(desired, &arn) == Some(FIRST))
                .await;
            return Self {
                first: second,
                second: first,
                second_agent: first_agent,
                attached: [two, one],
                arn,
            };
        }
        one.desired(|desired| tenure(desired, &arn) == Some(FIRST))
            .await;
        Self {
            first,
            second,
            second_agent,
            attached: [one, two],
            arn,
        }
    }
}

/// Shows that `attached` lives until it is told of a desired state that fits.
async fn beat_until(attached: &mut Attached, fits: impl Fn(&DesiredState) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        attached.heartbeat(AgentStatus::Online).await;
        let told = tokio::time::timeout(BEAT, attached.desired(&fits)).await;
        if told.is_ok() {
            return;
        }
    }
    panic!("never told");
}

/// Shows that `attached` lives for `time`, and that it is told nothing that `must_not` be.
async fn beat_for(
    attached: &mut Attached,
    time: Duration,
    must_not: impl Fn(&DesiredState) -> bool,
) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        attached.heartbeat(AgentStatus::Online).await;
        let told = tokio::time::timeout(BEAT, attached.desired(&must_not)).await;
        assert!(told.is_err(), "told too early");
    }
}

#[tokio::test]
async fn an_execution_moves_once_no_lease_can_last_and_the_old_agent_counts_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let control = start(directory.path()).await;
    let Pair {
        first,
        attached: [one, mut two],
        arn,
        ..
    } = Pair::new(&control).await;
    one.send(report_of(&arn, 1, TRANSFERRING, 5)).await;
    until(&control, &arn, |row| row.status == TRANSFERRING).await;
    two.send(report_of(&arn, 1, ExecutionStatus::Success, 9))
        .await;
    one.heartbeat(AgentStatus::Online).await;
    let last_heard = Instant::now();
    beat_until(&mut two, |desired| tenure(desired, &arn) == Some(SECOND)).await;
    assert!(
        last_heard.elapsed() >= FAILOVER_AFTER,
        "{:?}",
        last_heard.elapsed()
    );
    let moved = execution(&control, &arn).await;
    assert_eq!((moved.status, moved.tenure), (TRANSFERRING, SECOND));

    // The first one comes back: before its lease is renewed, it is told that it has nothing.
    let mut one = first.attach("boot").await.unwrap();
    let mut is_told = false;
    for sent in 1.. {
        one.heartbeat_at(AgentStatus::Online, sent).await;
        two.heartbeat(AgentStatus::Online).await;
        match one.next().await.unwrap().unwrap() {
            Down::Desired(desired) => {
                assert!(!runs(&desired, &arn));
                is_told = true;
            }
            Down::HeartbeatAck(ack) if ack.lease_from_milliseconds > 0 => break,
            _ => tokio::time::sleep(BEAT).await,
        }
    }
    assert!(is_told);
    for epoch in [1, 2] {
        one.send(report_of(&arn, epoch, ExecutionStatus::Success, 9))
            .await;
    }
    // What is said of an earlier tenure does not count from the right agent either.
    two.send(report_of(&arn, 1, ExecutionStatus::Error, 9))
        .await;
    two.send(report_of(&arn, 2, TRANSFERRING, 1)).await;
    let counted = until(&control, &arn, |row| {
        row.report
            .as_ref()
            .is_some_and(|report| report.counters.transferred == 1)
    });
    assert_eq!(counted.await.status, TRANSFERRING);
    two.send(report_of(&arn, 2, ExecutionStatus::Success, 7))
        .await;
    let ended = until(&control, &arn, |row| row.status == ExecutionStatus::Success).await;
    assert_eq!(ended.report.unwrap().counters.transferred, 7);
    control.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_back_in_time_keeps_its_execution_and_its_lease() {
    let directory = tempfile::tempdir().unwrap();
    let control = start(directory.path()).await;
    let Pair {
        first,
        attached: [one, mut two],
        arn,
        ..
    } = Pair::new(&control).await;
    drop(one);
    let is_moved = |desired: &DesiredState| runs(desired, &arn);
    beat_for(&mut two, OFFLINE_AFTER + BEAT, is_moved).await;
    let mut one = first.attach("boot").await.unwrap();
    one.desired(|desired| tenure(desired, &arn) == Some(FIRST))
        .await;
    let (began, mut granted) = (Instant::now(), 0);
    while began.elapsed() < FAILOVER_AFTER {
        let sent = u64::try_from(began.elapsed().as_millis()).unwrap() + 1;
        one.heartbeat_at(AgentStatus::Online, sent).await;
        two.heartbeat(AgentStatus::Online).await;
        tokio::time::sleep(BEAT).await;
        while let Ok(message) = tokio::time::timeout(Duration::from_millis(1), one.next()).await {
            let Some(Down::HeartbeatAck(ack)) = message.unwrap() else {
                continue;
            };
            assert!(ack.lease_from_milliseconds >= granted && ack.lease_from_milliseconds <= sent);
            assert_eq!(ack.lease_milliseconds, 3_500);
            granted = ack.lease_from_milliseconds;
        }
    }
    let behind = began.elapsed() - Duration::from_millis(granted);
    assert!(
        behind < Duration::from_millis(3_500),
        "its lease lasts: {behind:?}"
    );
    assert_eq!(execution(&control, &arn).await.tenure, FIRST);
    control.stop().await;
}

#[tokio::test]
async fn a_start_of_control_waits_for_leases_that_it_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    let control = start(directory.path()).await;
    let pair = Pair::new(&control).await;
    drop(pair.attached);
    control.stop().await;
    // Longer than any lease: but who knows what the agent was told last?
    tokio::time::sleep(FAILOVER_AFTER).await;
    let control = start(directory.path()).await;
    let started = Instant::now();
    let second = Machine {
        address: control.address,
        ..pair.second
    };
    let mut two = second.attach("boot").await.unwrap();
    beat_until(&mut two, |desired| {
        tenure(desired, &pair.arn) == Some(SECOND)
    })
    .await;
    let waited = started.elapsed() + Duration::from_millis(500);
    assert!(waited >= FAILOVER_AFTER, "{waited:?}");
    control.stop().await;
}

#[tokio::test]
async fn a_start_with_shorter_leases_waits_for_the_longer_ones_of_before() {
    let directory = tempfile::tempdir().unwrap();
    let longer = |config: &mut Config| {
        soon(config);
        config.failover_after = FAILOVER_AFTER * 2;
    };
    let control = Control::with(directory.path(), longer).await;
    let pair = Pair::new(&control).await;
    drop(pair.attached);
    control.stop().await;
    let control = start(directory.path()).await;
    let started = Instant::now();
    let second = at(&pair.second, &control);
    let mut two = second.attach("boot").await.unwrap();
    // It is heard of, and has shown nothing of a lease that it was given before.
    let one = at(&pair.first, &control).attach("boot").await.unwrap();
    one.heartbeat(AgentStatus::Online).await;
    beat_for(&mut two, BEAT * 4, |desired| runs(desired, &pair.arn)).await;
    drop(one);
    beat_until(&mut two, |desired| {
        tenure(desired, &pair.arn) == Some(SECOND)
    })
    .await;
    let waited = started.elapsed() + Duration::from_millis(500);
    assert!(waited >= FAILOVER_AFTER * 2, "{waited:?}");
    control.stop().await;
}

#[tokio::test]
async fn a_cancel_waits_for_the_end_of_the_lease_and_then_for_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let control = start(directory.path()).await;
    let Pair {
        attached: [one, mut two],
        arn,
        ..
    } = Pair::new(&control).await;
    one.heartbeat(AgentStatus::Online).await;
    let last_heard = Instant::now();
    change(&control, &arn, |row| {
        row.status = ExecutionStatus::Cancelling
    })
    .await;
    let is_moved = |desired: &DesiredState| runs(desired, &arn);
    beat_for(&mut two, FAILOVER_AFTER - OFFLINE_AFTER / 2, is_moved).await;
    let row = execution(&control, &arn).await;
    assert_eq!(
        row.status,
        ExecutionStatus::Cancelling,
        "it may still write"
    );
    let ended = until(&control, &arn, |row| row.status == ExecutionStatus::Error).await;
    assert!(last_heard.elapsed() >= FAILOVER_AFTER);
    assert_eq!(ended.tenure, FIRST);
    let detail = ended.report.unwrap().result.failure.unwrap().detail;
    assert!(detail.contains("writes nothing any more"), "{detail}");
    drop(one);
    control.stop().await;
}

#[tokio::test]
async fn with_both_agents_gone_the_first_that_returns_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let control = start(directory.path()).await;
    let Pair {
        first,
        second,
        second_agent,
        attached,
        arn,
    } = Pair::new(&control).await;
    drop(attached);
    tokio::time::sleep(FAILOVER_AFTER + OFFLINE_AFTER).await;
    assert_eq!(
        execution(&control, &arn).await.tenure,
        FIRST,
        "nobody is there"
    );
    let mut one = first.attach("boot").await.unwrap();
    one.desired(|desired| tenure(desired, &arn) == Some(FIRST))
        .await;
    drop(one);
    tokio::time::sleep(FAILOVER_AFTER).await;
    let mut two = second.attach("boot").await.unwrap();
    beat_until(&mut two, |desired| tenure(desired, &arn) == Some(SECOND)).await;
    assert_eq!(execution(&control, &arn).await.agent, Some(second_agent));
    control.stop().await;
}

#[tokio::test]
async fn a_replica_leaves_the_agents_of_a_living_one_alone_and_takes_over_from_a_dead_one() {
    let replicas = Replicas::new();
    let a = replicas.start_with("a", soon).await;
    let b = replicas.start_with("b", soon).await;
    let pair = Pair::new(&a).await;
    let [mut one, two] = pair.attached;
    drop(two);
    let second = at(&pair.second, &b);
    let mut two = second.attach("boot").await.unwrap();
    // The first replica says in the row that its agent lives.
    let began = Instant::now();
    let (mut sent, mut granted) = (0, 0);
    while began.elapsed() < FAILOVER_AFTER * 2 {
        sent += 1;
        one.heartbeat_at(AgentStatus::Online, sent).await;
        two.heartbeat(AgentStatus::Online).await;
        tokio::time::sleep(BEAT).await;
        while let Ok(message) = tokio::time::timeout(Duration::from_millis(1), one.next()).await {
            if let Some(Down::HeartbeatAck(ack)) = message.unwrap() {
                granted = ack.lease_from_milliseconds;
            }
        }
    }
    assert!(
        granted > 0 && sent - granted < 8,
        "{granted} of {sent} count"
    );
    assert_eq!(execution(&b, &pair.arn).await.tenure, FIRST);
    a.stop().await;
    drop(one);
    let gone = Instant::now();
    beat_until(&mut two, |desired| {
        tenure(desired, &pair.arn) == Some(SECOND)
    })
    .await;
    // Its last contact was in the row up to a heartbeat and a look before.
    let waited = gone.elapsed() + OFFLINE_AFTER;
    assert!(waited >= FAILOVER_AFTER, "{waited:?}");
    b.stop().await;
}
