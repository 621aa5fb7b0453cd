//! Whether tasks can be run: an agent really tries both locations. What is under way lives in
//! memory; the verdict goes into the task's row. After a restart the trying begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use datasync_model::{AgentArn, ErrorCode, Failure, TaskArn, TaskStatus};
use jiff::Timestamp;

use super::views::{AgentKey, Side, Snapshot, TaskView};

/// Trials of one agent at a time: it tries four locations at once.
const TRIALS_PER_AGENT: usize = 2;
/// An agent that has not answered this long after it was asked is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY_MIN: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// A new task waits this long for an agent that is just being started.
const CREATION_GRACE: Duration = Duration::from_secs(60);

/// One location that an agent is asked to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) side: Side,
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
    number: u64,
    /// When the agent was asked about source and destination.
    sent: [Option<Instant>; 2],
    /// `None` until the agent has answered.
    answers: [Option<Result<(), Failure>>; 2],
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct TaskProbe {
    failures: u32,
    /// Not before this time.
    next: Option<Instant>,
    /// What the last trial was about: a location whose row changed is tried at once.
    sides: Option<[Side; 2]>,
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
    first_step: Option<Instant>,
}

/// Waits are measured by the monotonic clock; the ages of rows by the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) wall: Timestamp,
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

    /// Takes an agent's answer. Whether it was awaited: answers to older questions, and answers by
    /// an agent that was not asked, change nothing.
    pub(crate) fn answer(
        &mut self,
        agent: &AgentArn,
        id: &str,
        result: Result<(), Failure>,
    ) -> bool {
        let Some((trial, side)) = self.trial_of(agent, id) else {
            return false;
        };
        match trial.answers.get_mut(side) {
            Some(answer @ None) => {
                *answer = Some(result);
                true
            }
            _ => false,
        }
    }

    /// Notes that a session has just put the question `id` to `agent`.
    pub(crate) fn sent(&mut self, agent: &AgentArn, id: &str, now: Instant) {
        if let Some((trial, side)) = self.trial_of(agent, id)
            && let Some(sent) = trial.sent.get_mut(side)
        {
            *sent = Some(now);
        }
    }

    fn trial_of(&mut self, agent: &AgentArn, id: &str) -> Option<(&mut Trial, usize)> {
        let prefix = &self.prefix;
        self.tasks
            .values_mut()
            .filter_map(|probe| probe.trial.as_mut())
            .filter(|trial| trial.agent == *agent)
            .find_map(|trial| {
                let side = SIDES
                    .iter()
                    .position(|side| id == question(prefix, trial.number, side))?;
                Some((trial, side))
            })
    }

    /// What agents are being asked.
    pub(crate) fn asked(&self) -> BTreeMap<AgentKey, Vec<Asked>> {
        let mut by_agent: BTreeMap<AgentKey, Vec<Asked>> = BTreeMap::new();
        for probe in self.tasks.values() {
            let (Some(trial), Some(sides)) = (&probe.trial, &probe.sides) else {
                continue;
            };
            for (number, side) in sides.iter().enumerate() {
                if trial.answers.get(number).is_some_and(Option::is_none) {
                    let asked = by_agent.entry(trial.agent.to_string()).or_default();
                    asked.push(Asked {
                        id: question(&self.prefix, trial.number, SIDES[number]),
                        side: side.clone(),
                        as_destination: number == 1,
                    });
                }
            }
        }
        by_agent
    }

    /// Starts trials that are due, ends those that are answered, and says which rows change.
    pub(crate) fn step(&mut self, snapshot: &Snapshot, now: Now) -> Vec<Verdict> {
        self.first_step.get_or_insert(now.instant);
        let known: BTreeSet<String> = snapshot.tasks.iter().map(|t| t.arn.to_string()).collect();
        self.tasks.retain(|task, _| known.contains(task));
        let mut verdicts = Vec::new();
        for task in &snapshot.tasks {
            let mut agents = task.eligible.iter();
            let anybody = agents.any(|agent| snapshot.is_available(agent));
            let result = match &task.sides {
                Err(failure) => {
                    self.tasks.remove(&task.arn.to_string());
                    Some(Err(failure.clone()))
                }
                Ok(_) if !anybody => self.nobody(task, snapshot, now),
                Ok(_) if is_settled(task.status) => {
                    self.tasks.remove(&task.arn.to_string());
                    None
                }
                Ok(sides) => self.trial(task, sides, snapshot, now.instant),
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

    fn nobody(
        &mut self,
        task: &TaskView,
        snapshot: &Snapshot,
        now: Now,
    ) -> Option<Result<(), Failure>> {
        self.tasks.remove(&task.arn.to_string());
        let young = now.wall < task.created + CREATION_GRACE;
        if task.status == TaskStatus::Creating && young {
            return None;
        }
        // An agent that is restarted, and all of them after a start of control, need a moment.
        let mut agents = task.eligible.iter();
        let returning = agents.any(|agent| snapshot.is_returning(agent))
            || self
                .first_step
                .is_none_or(|first| now.instant < first + CREATION_GRACE);
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
        sides: &[Side; 2],
        snapshot: &Snapshot,
        now: Instant,
    ) -> Option<Result<(), Failure>> {
        let key = task.arn.to_string();
        let probe = self.tasks.entry(key.clone()).or_default();
        if probe.sides.as_ref() != Some(sides) {
            *probe = TaskProbe {
                sides: Some(sides.clone()),
                ..TaskProbe::default()
            };
        }
        probe
            .trial
            .take_if(|trial| !may_try(task, sides, &trial.agent, snapshot));
        if let Some(result) = probe.trial.as_ref().and_then(|trial| verdict(trial, now)) {
            probe.trial = None;
            if result.is_err() {
                let wait = RETRY_MIN.saturating_mul(1 << probe.failures.min(8));
                probe.failures = probe.failures.saturating_add(1);
                probe.next = Some(now + wait.min(RETRY_MAX));
            } else {
                self.tasks.remove(&key);
            }
            return Some(result);
        }
        // One replica tries a task: that of the first agent that may.
        let mut able = task.eligible.iter();
        let first = able.find(|agent| is_able(task, sides, agent, snapshot));
        let is_ours = first.is_some_and(|agent| snapshot.is_here(agent));
        let is_due = is_ours && probe.trial.is_none() && probe.next.is_none_or(|next| next <= now);
        let mut agents = task.eligible.iter().filter(|_| is_due);
        let free = agents.find(|agent| {
            may_try(task, sides, agent, snapshot) && self.trials_of(agent) < TRIALS_PER_AGENT
        });
        if let Some((agent, probe)) = free.zip(self.tasks.get_mut(&key)) {
            self.asked += 1;
            probe.trial = Some(Trial {
                agent: agent.clone(),
                number: self.asked,
                sent: [None, None],
                answers: [None, None],
            });
        }
        None
    }

    fn trials_of(&self, agent: &AgentArn) -> usize {
        let trials = self.tasks.values().filter_map(|probe| probe.trial.as_ref());
        trials.filter(|trial| trial.agent == *agent).count()
    }
}

fn question(prefix: &str, number: u64, side: &str) -> String {
    format!("{prefix}-{number}-{side}")
}

/// Whether this replica may ask `agent`.
fn may_try(task: &TaskView, sides: &[Side; 2], agent: &AgentArn, snapshot: &Snapshot) -> bool {
    snapshot.is_here(agent) && is_able(task, sides, agent, snapshot)
}

/// Whether `agent` is there, may run the task, and has neither location at another place.
fn is_able(task: &TaskView, sides: &[Side; 2], agent: &AgentArn, snapshot: &Snapshot) -> bool {
    let mut locations = sides.iter().map(|side| &side.location);
    task.eligible.contains(agent)
        && snapshot.is_available(agent)
        && !locations.any(|location| snapshot.has_elsewhere(agent, location))
}

fn verdict(trial: &Trial, now: Instant) -> Option<Result<(), Failure>> {
    let is_late = |side: usize| {
        let sent = trial.sent.get(side).copied().flatten();
        trial.answers.get(side).is_some_and(Option::is_none)
            && sent.is_some_and(|sent| now.saturating_duration_since(sent) >= ANSWER_TIMEOUT)
    };
    match &trial.answers {
        [Some(Err(failure)), _] => Some(Err(failure.clone())),
        [Some(Ok(())), Some(result)] => Some(result.clone()),
        _ if is_late(0) || is_late(1) => Some(Err(Failure::new(
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
