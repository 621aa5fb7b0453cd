//! The trials that are under way: what agents are asked, and what they have answered.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use datasync_model::{AgentArn, ErrorCode, Failure};

use super::{RETRIES_PER_AGENT, TRIALS_PER_AGENT};
use crate::fleet::views::{AgentKey, Side};

/// An agent that has not answered this long after it was asked is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
const SIDES: [&str; 2] = ["source", "destination"];

/// One location that an agent is asked to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) side: Side,
    pub(crate) as_destination: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) agent: AgentArn,
    pub(super) sides: [Side; 2],
    number: u64,
    /// Whether the task has failed before.
    is_retry: bool,
    /// When the agent was asked about source and destination.
    sent: [Option<Instant>; 2],
    /// `None` until the agent has answered.
    answers: [Option<Result<(), Failure>>; 2],
}

/// What one agent is asked about.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    all: usize,
    retries: usize,
}

/// A few for each agent.
#[derive(Debug)]
pub(super) struct Trials {
    /// Tells the probes of this start of control from those of another.
    prefix: String,
    begun: u64,
    by_task: BTreeMap<String, Trial>,
    by_agent: HashMap<AgentArn, Load>,
}

impl Trials {
    pub(super) fn new(prefix: String) -> Self {
        Self {
            prefix,
            begun: 0,
            by_task: BTreeMap::new(),
            by_agent: HashMap::new(),
        }
    }

    /// The tasks that are being tried.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &str> {
        self.by_task.keys().map(String::as_str)
    }

    pub(super) fn has(&self, task: &str) -> bool {
        self.by_task.contains_key(task)
    }

    /// Whether `agent` can be asked about one task more, which has failed before if it `is_retry`.
    pub(super) fn has_room(&self, agent: &AgentArn, is_retry: bool) -> bool {
        let load = self.by_agent.get(agent).copied().unwrap_or_default();
        load.all < TRIALS_PER_AGENT && !(is_retry && load.retries >= RETRIES_PER_AGENT)
    }

    pub(super) fn begin(
        &mut self,
        task: String,
        agent: &AgentArn,
        sides: &[Side; 2],
        is_retry: bool,
    ) {
        self.remove(&task);
        self.begun += 1;
        let load = self.by_agent.entry(agent.clone()).or_default();
        load.all += 1;
        load.retries += usize::from(is_retry);
        let trial = Trial {
            agent: agent.clone(),
            sides: sides.clone(),
            number: self.begun,
            is_retry,
            sent: [None, None],
            answers: [None, None],
        };
        self.by_task.insert(task, trial);
    }

    pub(super) fn remove(&mut self, task: &str) {
        self.remove_if(task, |_| true);
    }

    pub(super) fn remove_if(&mut self, task: &str, is_over: impl FnOnce(&Trial) -> bool) {
        if !self.by_task.get(task).is_some_and(is_over) {
            return;
        }
        if let Some(trial) = self.by_task.remove(task)
            && let Some(load) = self.by_agent.get_mut(&trial.agent)
        {
            load.all -= 1;
            load.retries -= usize::from(trial.is_retry);
            if load.all == 0 {
                self.by_agent.remove(&trial.agent);
            }
        }
    }

    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        let gone = self.by_task.keys().filter(|task| !is_known(task));
        for task in gone.cloned().collect::<Vec<_>>() {
            self.remove(&task);
        }
    }

    pub(super) fn answer(
        &mut self,
        agent: &AgentArn,
        id: &str,
        result: Result<(), Failure>,
    ) -> bool {
        let Some((trial, side)) = self.find(agent, id) else {
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

    pub(super) fn sent(&mut self, agent: &AgentArn, id: &str, now: Instant) {
        if let Some((trial, side)) = self.find(agent, id)
            && let Some(sent) = trial.sent.get_mut(side)
        {
            *sent = Some(now);
        }
    }

    fn find(&mut self, agent: &AgentArn, id: &str) -> Option<(&mut Trial, usize)> {
        let prefix = &self.prefix;
        let mut trials = self.by_task.values_mut().filter(|t| t.agent == *agent);
        trials.find_map(|trial| {
            let side = SIDES
                .iter()
                .position(|side| id == question(prefix, trial.number, side))?;
            Some((trial, side))
        })
    }

    /// What agents are being asked.
    pub(super) fn asked(&self) -> BTreeMap<AgentKey, Vec<Asked>> {
        let mut by_agent: BTreeMap<AgentKey, Vec<Asked>> = BTreeMap::new();
        for trial in self.by_task.values() {
            for (number, side) in trial.sides.iter().enumerate() {
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

    /// Who tried `task`, and what came of it, once that is known.
    pub(super) fn verdict(
        &self,
        task: &str,
        now: Instant,
    ) -> Option<(AgentArn, Result<(), Failure>)> {
        let trial = self.by_task.get(task)?;
        Some((trial.agent.clone(), result(trial, now)?))
    }
}

fn result(trial: &Trial, now: Instant) -> Option<Result<(), Failure>> {
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

fn question(prefix: &str, number: u64, side: &str) -> String {
    format!("{prefix}-{number}-{side}")
}
