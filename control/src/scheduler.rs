//! From the queue to agents, and from agents that are gone to others: which execution is given to
//! whom, decided from rows.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use datasync_model::{Ability, AgentArn, ExecutionStatus, TaskArn, TaskExecutionArn, Tenure};

use crate::fleet::Seen;
use crate::fleet::views::{LiveExecution, Snapshot, is_elsewhere};

/// An execution that an agent is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) execution: TaskExecutionArn,
    pub(crate) agent: AgentArn,
    /// As what the agent has it.
    pub(crate) tenure: Tenure,
    /// Who had it before; `None`: it was QUEUED.
    pub(crate) from: Option<Left>,
}

/// An agent that is gone, and what its row said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) agent: AgentArn,
    pub(crate) seen: Seen,
}

/// Whether an execution may be given to another agent once its own is gone. One that is cancelled is
/// ended instead.
pub(crate) fn is_movable(status: ExecutionStatus, tenure: Tenure) -> bool {
    let is_settled = status.is_terminal()
        || matches!(
            status,
            ExecutionStatus::Queued | ExecutionStatus::Cancelling
        );
    tenure.leased && !is_settled
}

/// Executions with the agents that have them, or are given them by the plan.
type Placed<'a> = Vec<(&'a AgentArn, &'a LiveExecution)>;

/// First what agents that are gone have left behind, then the queue: first in, first out, on the
/// first eligible agent that is online and has a free slot; one execution of a task at a time. What
/// cannot be launched now stays QUEUED, what cannot move stays with its agent.
pub(crate) fn plan(snapshot: &Snapshot, executions_per_agent: NonZeroU32) -> Vec<Launch> {
    let mut placed = Placed::new();
    let mut busy_tasks: BTreeSet<String> = snapshot.busy_tasks.clone();
    let (mut stranded, mut queue) = (Vec::new(), Vec::new());
    for execution in &snapshot.executions {
        if execution.status == ExecutionStatus::Queued {
            queue.push(execution);
        }
        if let Some(agent) = execution.agent.as_ref().filter(|_| execution.is_launched()) {
            placed.push((agent, execution));
            busy_tasks.insert(task(execution).to_string());
            if is_movable(execution.status, execution.tenure) && snapshot.is_gone(agent) {
                stranded.push(execution);
            }
        }
    }
    let mut launches = Vec::new();
    for execution in in_order(stranded) {
        let Some(left) = left_by(snapshot, execution) else {
            continue;
        };
        let free = free_agent(snapshot, execution, &placed, executions_per_agent);
        if let Some(agent) = free {
            placed.retain(|(_, placed)| placed.arn != execution.arn);
            placed.push((agent, execution));
            launches.push(launch(snapshot, execution, agent, Some(left)));
        }
    }
    for execution in in_order(queue) {
        // A task's own order holds even where a later run could use another agent.
        if !busy_tasks.insert(task(execution).to_string()) {
            continue;
        }
        let free = free_agent(snapshot, execution, &placed, executions_per_agent);
        if let Some(agent) = free {
            placed.push((agent, execution));
            launches.push(launch(snapshot, execution, agent, None));
        }
    }
    launches
}

fn in_order(mut executions: Vec<&LiveExecution>) -> Vec<&LiveExecution> {
    executions.sort_by_key(|execution| (execution.requested, execution.arn.to_string()));
    executions
}

fn left_by(snapshot: &Snapshot, execution: &LiveExecution) -> Option<Left> {
    let agent = execution.agent.clone()?;
    let seen = Seen::of(snapshot.agents.get(&agent.to_string())?);
    Some(Left { agent, seen })
}

fn launch(
    snapshot: &Snapshot,
    execution: &LiveExecution,
    agent: &AgentArn,
    from: Option<Left>,
) -> Launch {
    // Whoever knows no leases keeps what it runs.
    let leased = execution.eligible.len() > 1 && snapshot.is_able(agent, &[Ability::Lease]);
    Launch {
        execution: execution.arn.clone(),
        agent: agent.clone(),
        tenure: execution.tenure.next(leased),
        from,
    }
}

fn free_agent<'a>(
    snapshot: &Snapshot,
    execution: &'a LiveExecution,
    placed: &Placed<'_>,
    slots: NonZeroU32,
) -> Option<&'a AgentArn> {
    let needs = execution.spec.needs();
    execution.eligible.iter().find(|agent| {
        snapshot.is_available(agent)
            && snapshot.is_able(agent, &needs)
            && has_room(placed, agent, execution, slots)
    })
}

/// Whether `agent` has a free slot, and none of its executions has a location of this one at
/// another place.
fn has_room(
    placed: &Placed<'_>,
    agent: &AgentArn,
    execution: &LiveExecution,
    slots: NonZeroU32,
) -> bool {
    let here = || placed.iter().filter(|(of, _)| *of == agent);
    let clashes = |other: &LiveExecution| {
        let mut sides = other.sides().into_iter().zip(execution.sides());
        sides.any(|(one, two)| is_elsewhere(one, two))
    };
    here().count() < slots.get() as usize && !here().any(|(_, other)| clashes(other))
}

fn task(execution: &LiveExecution) -> &TaskArn {
    execution.arn.task()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn launched(snapshot: &Snapshot, slots: NonZeroU32) -> Vec<(TaskExecutionArn, AgentArn)> {
        plan(snapshot, slots)
            .into_iter()
            .map(|launch| (launch.execution, launch.agent))
            .collect()
    }

    #[test]
    fn the_queue_is_first_in_first_out_and_a_busy_agent_makes_it_wait() {
        let mut snapshot = fixture::snapshot(1);
        let mut late = fixture::execution(1, 1);
        late.requested = fixture::at(20);
        let mut early = fixture::execution(2, 2);
        early.requested = fixture::at(10);
        snapshot.executions = vec![late.clone(), early.clone()];
        let agent = fixture::agent(0);
        assert_eq!(
            launched(&snapshot, ONE),
            [(early.arn.clone(), agent.clone())]
        );
        let two = NonZeroU32::new(2).unwrap();
        assert_eq!(
            launched(&snapshot, two),
            [
                (early.arn.clone(), agent.clone()),
                (late.arn, agent.clone())
            ]
        );
        snapshot.executions[1].status = ExecutionStatus::Transferring;
        snapshot.executions[1].agent = Some(agent);
        assert_eq!(launched(&snapshot, ONE), []);
    }

    #[test]
    fn one_execution_of_a_task_runs_at_a_time() {
        let mut snapshot = fixture::snapshot(2);
        for number in [1, 2] {
            let mut execution = fixture::execution(1, number);
            execution.eligible = vec![fixture::agent(0), fixture::agent(1)];
            execution.requested = fixture::at(number as i64);
            snapshot.executions.push(execution);
        }
        let launches = launched(&snapshot, ONE);
        assert_eq!(
            launches,
            [(snapshot.executions[0].arn.clone(), fixture::agent(0))]
        );
    }

    #[test]
    fn only_online_and_eligible_agents_are_chosen() {
        let mut snapshot = fixture::snapshot(2);
        let mut execution = fixture::execution(1, 1);
        execution.eligible = vec![fixture::agent(0), fixture::agent(1)];
        snapshot.executions = vec![execution];
        fixture::set_online(&mut snapshot, 0, false);
        assert_eq!(
            launched(&snapshot, ONE),
            [(snapshot.executions[0].arn.clone(), fixture::agent(1))]
        );
        fixture::set_online(&mut snapshot, 1, false);
        assert_eq!(launched(&snapshot, ONE), []);
        fixture::set_online(&mut snapshot, 1, true);
        snapshot.executions[0].eligible.clear();
        assert_eq!(launched(&snapshot, ONE), []);
    }

    #[test]
    fn what_an_agent_does_not_understand_waits_for_one_that_does() {
        let mut snapshot = fixture::snapshot(2);
        let mut execution = fixture::with_manifest(fixture::execution(1, 1));
        execution.eligible = vec![fixture::agent(0), fixture::agent(1)];
        snapshot.executions = vec![execution.clone()];
        assert_eq!(launched(&snapshot, ONE), []);
        let able = snapshot.agents.get_mut(&fixture::agent(1).to_string());
        able.unwrap().abilities = vec!["manifest".to_owned()];
        assert_eq!(
            launched(&snapshot, ONE),
            [(execution.arn, fixture::agent(1))]
        );
    }

    #[test]
    fn an_agent_has_a_location_at_one_place_at_a_time() {
        let two = NonZeroU32::new(2).unwrap();
        let mut snapshot = fixture::snapshot(1);
        let mut running = fixture::execution(1, 1);
        running.status = ExecutionStatus::Transferring;
        running.agent = Some(fixture::agent(0));
        let mut queued = fixture::execution(2, 2);
        snapshot.executions = vec![running, queued.clone()];
        assert_eq!(launched(&snapshot, two).len(), 1);
        let datasync_model::Location::S3(s3) = &mut queued.spec.destination else {
            panic!("the fixture writes to S3");
        };
        s3.endpoint = Some("https://elsewhere.example".to_owned());
        snapshot.executions[1] = queued;
        assert_eq!(launched(&snapshot, two), []);
        snapshot.executions[0].status = ExecutionStatus::Success;
        assert_eq!(launched(&snapshot, two).len(), 1);
    }

    /// Two agents that know leases, and an execution that the first one runs under one.
    fn shared() -> Snapshot {
        let mut snapshot = fixture::snapshot(2);
        for view in snapshot.agents.values_mut() {
            view.abilities = vec![Ability::Lease.to_string()];
        }
        let mut running = fixture::execution(1, 1);
        running.eligible = vec![fixture::agent(0), fixture::agent(1)];
        running.status = ExecutionStatus::Transferring;
        running.agent = Some(fixture::agent(0));
        running.tenure = Tenure::default().next(true);
        snapshot.executions = vec![running];
        snapshot
    }

    #[test]
    fn an_execution_moves_only_once_its_agent_is_gone() {
        let mut snapshot = shared();
        assert_eq!(plan(&snapshot, ONE), []);
        fixture::set_left(&mut snapshot, 0);
        assert_eq!(plan(&snapshot, ONE), []);
        fixture::set_online(&mut snapshot, 0, false);
        assert_eq!(plan(&snapshot, ONE), [], "OFFLINE is not gone");
        fixture::set_gone(&mut snapshot, 0);
        let launches = plan(&snapshot, ONE);
        let [launch] = &launches[..] else {
            panic!("it moves: {launches:?}");
        };
        assert_eq!(launch.agent, fixture::agent(1));
        let second = Tenure::default().next(true).next(true);
        assert_eq!(launch.tenure, second);
        let left = launch.from.as_ref().unwrap();
        assert_eq!(left.agent, fixture::agent(0));
        // It is back just in time.
        fixture::set_online(&mut snapshot, 0, true);
        assert_eq!(plan(&snapshot, ONE), []);
    }

    #[test]
    fn what_cannot_or_must_not_move_stays_with_its_agent() {
        let mut gone = shared();
        fixture::set_gone(&mut gone, 0);
        let stays = |change: &dyn Fn(&mut Snapshot)| {
            let mut snapshot = gone.clone();
            change(&mut snapshot);
            plan(&snapshot, ONE).is_empty()
        };
        assert!(!stays(&|_| {}));
        assert!(stays(&|s| fixture::set_gone(s, 1)), "both are gone");
        assert!(stays(&|s| s.executions[0].tenure.leased = false));
        assert!(stays(
            &|s| s.executions[0].status = ExecutionStatus::Cancelling
        ));
        assert!(stays(&|s| s.executions[0].eligible.truncate(1)));
        assert!(stays(&|s| {
            s.held.insert(fixture::agent(0).id().to_owned());
        }));
        assert!(stays(&|s| {
            let mut other = fixture::execution(2, 2);
            other.status = ExecutionStatus::Transferring;
            other.agent = Some(fixture::agent(1));
            s.executions.push(other);
        }));
    }

    #[test]
    fn what_was_left_behind_comes_before_the_queue() {
        let mut snapshot = shared();
        let mut waiting = fixture::execution(2, 2);
        waiting.eligible = vec![fixture::agent(1)];
        waiting.requested = fixture::at(-10);
        snapshot.executions.push(waiting);
        fixture::set_gone(&mut snapshot, 0);
        let moved = snapshot.executions[0].arn.clone();
        assert_eq!(launched(&snapshot, ONE), [(moved, fixture::agent(1))]);
        assert_eq!(launched(&snapshot, NonZeroU32::new(2).unwrap()).len(), 2);
    }

    #[test]
    fn an_execution_is_leased_if_another_agent_may_take_it_over() {
        let mut snapshot = shared();
        let leased = |snapshot: &Snapshot| plan(snapshot, ONE)[0].tenure;
        snapshot.executions[0].status = ExecutionStatus::Queued;
        snapshot.executions[0].agent = None;
        snapshot.executions[0].tenure = Tenure::default();
        assert_eq!(leased(&snapshot), Tenure::default().next(true));
        let mut old = snapshot.clone();
        let view = old.agents.get_mut(&fixture::agent(0).to_string());
        view.unwrap().abilities.clear();
        assert_eq!(leased(&old), Tenure::default().next(false));
        snapshot.executions[0].eligible.truncate(1);
        assert_eq!(leased(&snapshot), Tenure::default().next(false));
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let mut snapshot = fixture::snapshot(1);
        snapshot.executions = vec![fixture::execution(1, 1)];
        let mut held = snapshot.clone();
        held.held.insert(fixture::agent(0).id().to_owned());
        assert_eq!(launched(&held, ONE), []);
        let task = snapshot.executions[0].arn.task().to_string();
        snapshot.busy_tasks.insert(task);
        assert_eq!(launched(&snapshot, ONE), []);
    }
}
