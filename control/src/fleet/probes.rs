//! Whether tasks can be run: an agent really tries both locations. What is under way lives in
//! memory; the verdict goes into the task's row. After a restart the trying begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use datasync_model::{AgentArn, ErrorCode, Failure, Location, TaskArn, TaskStatus};
use jiff::Timestamp;

use super::views::{AgentKey, Snapshot, TaskView};

/// An agent that has not answered by then is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY_MIN: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// A new task waits this long for an agent that is just being started.
const CREATION_GRACE: Duration = Duration::from_secs(60);

/// One location that an agent is asked to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) location: Location,
    pub(crate) as_destination: bool,
}

/// What a task's row should say from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) task: TaskArn,
    pub(crate) result: Result<(), Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trial {
    agent: AgentArn,
    since: Timestamp,
    number: u64,
    /// Source, destination. `None` until the agent has answered.
    answers: [Option<Result<(), Failure>>; 2],
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct TaskProbe {
    failures: u32,
    /// Not before this time.
    next: Option<Timestamp>,
    /// The locations that the last trial was about: a changed location is tried at once.
    locations: Option<[Location; 2]>,
    trial: Option<Trial>,
}

/// The trials of all tasks that are CREATING or UNAVAILABLE.
#[derive(Debug)]
pub(crate) struct Probes {
    /// Tells the probes of this start of control from those of another.
    prefix: String,
    asked: u64,
    tasks: BTreeMap<String, TaskProbe>,
    /// When this start of control looked at the tasks first.
    first_step: Option<Timestamp>,
}

const SIDES: [&str; 2] = ["source", "destination"];

impl Probes {
    pub(crate) fn new(prefix: String) -> Self {
        Self {
            prefix,
            asked: 0,
            tasks: BTreeMap::new(),
            first_step: None,
        }
    }

    fn id(&self, number: u64, side: &str) -> String {
        format!("{}-{number}-{side}", self.prefix)
    }

    /// Takes an agent's answer. Whether it was awaited: answers to older questions, and answers by
    /// an agent that was not asked, change nothing.
    pub(crate) fn answer(
        &mut self,
        agent: &AgentArn,
        id: &str,
        result: Result<(), Failure>,
    ) -> bool {
        let prefix = &self.prefix;
        for probe in self.tasks.values_mut() {
            let Some(trial) = probe.trial.as_mut().filter(|trial| trial.agent == *agent) else {
                continue;
            };
            for (side, name) in SIDES.iter().enumerate() {
                if id == format!("{prefix}-{}-{name}", trial.number)
                    && let Some(answer) = trial.answers.get_mut(side)
                    && answer.is_none()
                {
                    *answer = Some(result);
                    return true;
                }
            }
        }
        false
    }

    /// What agents are being asked.
    pub(crate) fn asked(&self) -> BTreeMap<AgentKey, Vec<Asked>> {
        let mut by_agent: BTreeMap<AgentKey, Vec<Asked>> = BTreeMap::new();
        for probe in self.tasks.values() {
            let (Some(trial), Some(locations)) = (&probe.trial, &probe.locations) else {
                continue;
            };
            for (side, location) in locations.iter().enumerate() {
                if trial.answers.get(side).is_some_and(Option::is_none) {
                    let id = self.id(trial.number, SIDES[side]);
                    let asked = by_agent.entry(trial.agent.to_string()).or_default();
                    asked.push(Asked {
                        id,
                        location: location.clone(),
                        as_destination: side == 1,
                    });
                }
            }
        }
        by_agent
    }

    /// Starts trials that are due, ends those that are answered, and says which rows change.
    pub(crate) fn step(&mut self, snapshot: &Snapshot, now: Timestamp) -> Vec<Verdict> {
        self.first_step.get_or_insert(now);
        let known: BTreeSet<String> = snapshot.tasks.iter().map(|t| t.arn.to_string()).collect();
        self.tasks.retain(|task, _| known.contains(task));
        let mut verdicts = Vec::new();
        for task in &snapshot.tasks {
            let online = task.eligible.iter().find(|agent| {
                let view = snapshot.agents.get(&agent.to_string());
                view.is_some_and(|view| view.online)
            });
            let result = match (online, &task.sides) {
                (_, Err(failure)) => Some(Err(failure.clone())),
                (None, _) => self.nobody(task, now),
                (Some(_), _) if is_settled(task.status) => {
                    self.tasks.remove(&task.arn.to_string());
                    None
                }
                (Some(agent), Ok(sides)) => self.trial(task, sides, agent, snapshot, now),
            };
            if let Some(result) = result
                && changes(task, &result)
            {
                verdicts.push(Verdict {
                    task: task.arn.clone(),
                    result,
                });
            }
        }
        verdicts
    }

    fn nobody(&mut self, task: &TaskView, now: Timestamp) -> Option<Result<(), Failure>> {
        self.tasks.remove(&task.arn.to_string());
        let young = now < task.created + CREATION_GRACE;
        if task.status == TaskStatus::Creating && young {
            return None;
        }
        // After a start of control, agents need a moment to return.
        let returning = self
            .first_step
            .is_none_or(|first| now < first + CREATION_GRACE);
        if is_settled(task.status) && returning {
            return None;
        }
        let agents: Vec<String> = task.eligible.iter().map(ToString::to_string).collect();
        let who = if agents.is_empty() {
            "no agent is activated that may run this task: activate one".to_owned()
        } else {
            format!(
                "every agent that may run this task is OFFLINE ({}): start one of them and check \
                 that it reaches control",
                agents.join(", ")
            )
        };
        Some(Err(Failure::new(ErrorCode::AgentUnavailable, who)))
    }

    fn trial(
        &mut self,
        task: &TaskView,
        locations: &[Location; 2],
        agent: &AgentArn,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<Result<(), Failure>> {
        let probe = self.tasks.entry(task.arn.to_string()).or_default();
        if probe.locations.as_ref() != Some(locations) {
            *probe = TaskProbe {
                locations: Some(locations.clone()),
                ..TaskProbe::default()
            };
        }
        if let Some(trial) = &probe.trial {
            let view = snapshot.agents.get(&trial.agent.to_string());
            if !view.is_some_and(|view| view.online) {
                probe.trial = None;
            } else if let Some(result) = verdict(trial, now) {
                probe.trial = None;
                if result.is_err() {
                    let wait = RETRY_MIN.saturating_mul(1 << probe.failures.min(8));
                    probe.failures = probe.failures.saturating_add(1);
                    probe.next = Some(now + wait.min(RETRY_MAX));
                } else {
                    self.tasks.remove(&task.arn.to_string());
                }
                return Some(result);
            }
        }
        if probe.trial.is_none() && probe.next.is_none_or(|next| next <= now) {
            self.asked += 1;
            probe.trial = Some(Trial {
                agent: agent.clone(),
                since: now,
                number: self.asked,
                answers: [None, None],
            });
        }
        None
    }
}

fn verdict(trial: &Trial, now: Timestamp) -> Option<Result<(), Failure>> {
    match &trial.answers {
        [Some(Err(failure)), _] => Some(Err(failure.clone())),
        [Some(Ok(())), Some(result)] => Some(result.clone()),
        _ if now >= trial.since + ANSWER_TIMEOUT => Some(Err(Failure::new(
            ErrorCode::AgentUnavailable,
            format!(
                "agent {} did not say within {} seconds whether it can reach the locations",
                trial.agent,
                ANSWER_TIMEOUT.as_secs()
            ),
        ))),
        _ => None,
    }
}

/// States in which the task was found to work; it is tried again only after it was lost.
fn is_settled(status: TaskStatus) -> bool {
    match status {
        TaskStatus::Available | TaskStatus::Queued | TaskStatus::Running => true,
        TaskStatus::Creating | TaskStatus::Unavailable => false,
    }
}

fn changes(task: &TaskView, result: &Result<(), Failure>) -> bool {
    match result {
        Ok(()) => !is_settled(task.status),
        Err(failure) => {
            task.status != TaskStatus::Unavailable || task.failure.as_ref() != Some(failure)
        }
    }
}

#[cfg(test)]
mod tests;
