//! From the queue to agents: which execution is launched where, decided from rows.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use datasync_model::{AgentArn, ExecutionStatus, TaskArn, TaskExecutionArn};

use crate::fleet::views::{LiveExecution, Snapshot, is_elsewhere};

/// An execution that an agent is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) execution: TaskExecutionArn,
    pub(crate) agent: AgentArn,
}

/// First in, first out, on the first eligible agent that is online and has a free slot; one
/// execution of a task at a time. What cannot be launched now stays QUEUED.
pub(crate) fn plan(snapshot: &Snapshot, executions_per_agent: NonZeroU32) -> Vec<Launch> {
    let mut placed = Vec::new();
    let mut busy_tasks: BTreeSet<String> = snapshot.busy_tasks.clone();
    for execution in &snapshot.executions {
        if let Some(agent) = execution.agent.as_ref().filter(|_| execution.is_launched()) {
            placed.push((agent, execution));
            busy_tasks.insert(task(execution).to_string());
        }
    }
    let mut queue: Vec<&LiveExecution> = snapshot
        .executions
        .iter()
        .filter(|execution| execution.status == ExecutionStatus::Queued)
        .collect();
    queue.sort_by_key(|execution| (execution.requested, execution.arn.to_string()));
    let mut launches = Vec::new();
    for execution in queue {
        // A task's own order holds even where a later run could use another agent.
        if !busy_tasks.insert(task(execution).to_string()) {
            continue;
        }
        let needs = execution.spec.extensions.needs();
        let free = execution.eligible.iter().find(|agent| {
            snapshot.is_available(agent)
                && snapshot.is_able(agent, &needs)
                && has_room(&placed, agent, execution, executions_per_agent)
        });
        if let Some(agent) = free {
            placed.push((agent, execution));
            launches.push(Launch {
                execution: execution.arn.clone(),
                agent: agent.clone(),
            });
        }
    }
    launches
}

/// Whether `agent` has a free slot, and none of its executions has a location of this one at
/// another place.
fn has_room(
    placed: &[(&AgentArn, &LiveExecution)],
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
