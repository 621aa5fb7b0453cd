//! What each agent should be doing, computed from rows: a full snapshot per agent.

use std::collections::BTreeMap;

use datasync_model::{
    BytesPerSecond, ExecutionSpec, ExecutionStatus, Location, LocationArn, TaskExecutionArn,
};
use datasync_proto::{DesiredExecution, DesiredProbe, DesiredState, Generation};

use super::probes::Asked;
use super::views::{AgentKey, Snapshot};

/// One execution that an agent should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedExecution {
    spec: ExecutionSpec,
    bytes_per_second: BytesPerSecond,
    cancel: bool,
}

/// Everything one agent should be doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AgentDesired {
    executions: Vec<WantedExecution>,
    probes: Vec<Asked>,
}

impl AgentDesired {
    /// Whether the agent should have `execution`.
    pub(crate) fn has(&self, execution: &TaskExecutionArn) -> bool {
        self.executions
            .iter()
            .any(|wanted| wanted.spec.execution == *execution)
    }

    /// The locations for which the agent needs credentials of a store.
    pub(crate) fn stores(&self) -> Vec<LocationArn> {
        let of_executions = self
            .executions
            .iter()
            .flat_map(|wanted| [&wanted.spec.source, &wanted.spec.destination]);
        let of_probes = self.probes.iter().map(|asked| &asked.location);
        let mut arns: Vec<LocationArn> = Vec::new();
        for location in of_executions.chain(of_probes) {
            if let Location::S3(s3) = location
                && !arns.contains(&s3.arn)
            {
                arns.push(s3.arn.clone());
            }
        }
        arns
    }

    /// The message to the agent.
    pub(crate) fn message(&self, incarnation: &str, generation: u64) -> DesiredState {
        DesiredState {
            generation: Some(Generation {
                incarnation: incarnation.to_owned(),
                generation,
            }),
            executions: self
                .executions
                .iter()
                .map(|wanted| {
                    DesiredExecution::new(&wanted.spec, wanted.bytes_per_second, wanted.cancel)
                })
                .collect(),
            probes: self
                .probes
                .iter()
                .map(|asked| {
                    DesiredProbe::new(asked.id.clone(), &asked.location, asked.as_destination)
                })
                .collect(),
        }
    }
}

/// The desired state of every activated agent. An execution leaves it once its end is recorded.
pub(crate) fn desired(
    snapshot: &Snapshot,
    probes: &BTreeMap<AgentKey, Vec<Asked>>,
) -> BTreeMap<AgentKey, AgentDesired> {
    let mut agents: BTreeMap<AgentKey, AgentDesired> = snapshot
        .agents
        .keys()
        .map(|key| {
            let probes = probes.get(key).cloned().unwrap_or_default();
            let executions = Vec::new();
            (key.clone(), AgentDesired { executions, probes })
        })
        .collect();
    for execution in &snapshot.executions {
        let Some(agent) = &execution.agent else {
            continue;
        };
        if execution.status.is_terminal() || execution.status == ExecutionStatus::Queued {
            continue;
        }
        if let Some(desired) = agents.get_mut(&agent.to_string()) {
            desired.executions.push(WantedExecution {
                spec: execution.spec.clone(),
                bytes_per_second: execution.bytes_per_second,
                cancel: execution.status == ExecutionStatus::Cancelling,
            });
        }
    }
    agents
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn an_agent_gets_its_own_live_executions_and_nothing_else() {
        let mut snapshot = fixture::snapshot(2);
        let cases = [
            (ExecutionStatus::Queued, None),
            (ExecutionStatus::Launching, Some(0)),
            (ExecutionStatus::Cancelling, Some(0)),
            (ExecutionStatus::Success, Some(0)),
            (ExecutionStatus::Transferring, Some(1)),
        ];
        for (number, (status, agent)) in cases.into_iter().enumerate() {
            let mut execution = fixture::execution(1, number as u64);
            execution.status = status;
            execution.agent = agent.map(fixture::agent);
            snapshot.executions.push(execution);
        }
        let desired = desired(&snapshot, &BTreeMap::new());
        let of = |number| &desired[&fixture::agent(number).to_string()];
        let message = of(0).message("incarnation", 7);
        let cancels: Vec<bool> = message.executions.iter().map(|e| e.cancel).collect();
        assert_eq!(cancels, [false, true]);
        assert_eq!(message.generation.unwrap().generation, 7);
        assert_eq!(of(1).executions.len(), 1);
        assert_eq!(of(0).stores(), [fixture::bucket().arn().clone()]);
    }

    #[test]
    fn an_execution_of_a_deleted_agent_is_wanted_by_nobody() {
        let mut snapshot = fixture::snapshot(1);
        let mut execution = fixture::execution(1, 1);
        execution.status = ExecutionStatus::Launching;
        execution.agent = Some(fixture::agent(9));
        snapshot.executions.push(execution);
        let desired = desired(&snapshot, &BTreeMap::new());
        assert_eq!(desired.len(), 1);
        assert!(desired.values().all(|d| *d == AgentDesired::default()));
    }
}
