//! Whether tasks can be run: an agent really tries both locations, and after it the next one if it
//! cannot use them. What is under way lives in memory; the verdict goes into the task's row. After a
//! restart the trying begins anew.

mod failed;
mod trials;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use datasync_model::{AgentArn, ErrorCode, Failure, TaskArn, TaskStatus};
use jiff::Timestamp;

use super::views::{AgentKey, Revision, Side, Snapshot, TaskView};
use failed::Failed;
pub(crate) use trials::Asked;
use trials::Trials;

/// Trials of one agent at a time, of two locations each. A location that does not answer takes it a
/// minute, and an agent of an earlier release tries four at once: all are answered in time.
const TRIALS_PER_AGENT: usize = 8;
/// So many of them may be of tasks that have failed before: those hold up no others.
const RETRIES_PER_AGENT: usize = 6;
const RETRY_MIN: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// A wait that is over for this long is of a task that is not looked at any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 3600);
/// A new task waits this long for an agent that is just being started.
const CREATION_GRACE: Duration = Duration::from_secs(60);

/// What a task's row should say from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) task: TaskArn,
    pub(crate) result: Result<(), Failure>,
    /// Who cannot use the locations, of those that were tried.
    pub(crate) unable: Vec<AgentArn>,
    /// Who can.
    pub(crate) able: Option<AgentArn>,
}

/// What became of the trials of a task.
#[derive(Debug)]
struct Outcome {
    result: Result<(), Failure>,
    unable: Vec<AgentArn>,
    able: Option<AgentArn>,
}

impl Outcome {
    /// Nobody was tried.
    fn untried(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            unable: Vec::new(),
            able: None,
        }
    }
}

/// A task that was found not to work.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wait {
    failures: u32,
    /// Not before this time.
    next: Instant,
    /// What the last trial was about: a location whose row changed is tried at once.
    revisions: [Revision; 2],
}

/// The trials of tasks that are CREATING or UNAVAILABLE.
#[derive(Debug)]
pub(crate) struct Probes {
    trials: Trials,
    /// By task.
    waits: BTreeMap<String, Wait>,
    /// Agents that have failed since the last verdict, by task.
    failed: BTreeMap<String, Failed>,
    /// When this start of control looked at the tasks first.
    first_step: Option<Instant>,
}

/// Waits are measured by the monotonic clock; the ages of rows by the wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) wall: Timestamp,
}

impl Probes {
    /// `prefix` tells the probes of this start of control from those of another.
    pub(crate) fn new(prefix: String) -> Self {
        Self {
            trials: Trials::new(prefix),
            waits: BTreeMap::new(),
            failed: BTreeMap::new(),
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
        self.trials.answer(agent, id, result)
    }

    /// Notes that a session has just put the question `id` to `agent`.
    pub(crate) fn sent(&mut self, agent: &AgentArn, id: &str, now: Instant) {
        self.trials.sent(agent, id, now);
    }

    /// What agents are being asked.
    pub(crate) fn asked(&self) -> BTreeMap<AgentKey, Vec<Asked>> {
        self.trials.asked()
    }

    /// The ids of the tasks that are being tried: those that [`Self::step`] must always see.
    pub(crate) fn tried(&self) -> Vec<String> {
        let tasks = self.trials.tasks();
        let ids = tasks.filter_map(|task| task.rsplit('/').next());
        ids.map(str::to_owned).collect()
    }

    /// Starts trials that are due, ends those that are answered, and says which rows change. The
    /// snapshot has some of the tasks, and all that are being tried.
    pub(crate) fn step(&mut self, snapshot: &Snapshot, now: Now) -> Vec<Verdict> {
        self.first_step.get_or_insert(now.instant);
        let known: BTreeSet<String> = snapshot.tasks.iter().map(|t| t.arn.to_string()).collect();
        self.trials.retain(|task| known.contains(task));
        // Of tasks that are no more.
        self.waits
            .retain(|_, wait| now.instant < wait.next + FORGOTTEN_AFTER);
        self.failed
            .retain(|_, failed| now.instant < failed.since + FORGOTTEN_AFTER);
        let mut verdicts = Vec::new();
        for task in &snapshot.tasks {
            let mut agents = task.eligible.iter();
            let anybody = agents.any(|agent| snapshot.is_available(agent));
            let outcome = match &task.sides {
                Err(failure) => {
                    self.forget(task);
                    Some(Outcome::untried(failure.clone()))
                }
                Ok(_) if !anybody => self.nobody(task, snapshot, now),
                Ok(_) if is_settled(task.status) => {
                    self.forget(task);
                    None
                }
                Ok(sides) => self.trial(task, sides, snapshot, now.instant),
            };
            if let Some(outcome) = outcome
                && changes(task, &outcome.result)
            {
                verdicts.push(Verdict {
                    task: task.arn.clone(),
                    result: outcome.result,
                    unable: outcome.unable,
                    able: outcome.able,
                });
            }
        }
        verdicts
    }

    fn forget(&mut self, task: &TaskView) {
        let key = task.arn.to_string();
        self.trials.remove(&key);
        self.waits.remove(&key);
        self.failed.remove(&key);
    }

    fn nobody(&mut self, task: &TaskView, snapshot: &Snapshot, now: Now) -> Option<Outcome> {
        self.forget(task);
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
        Some(Outcome::untried(Failure::new(
            ErrorCode::AgentUnavailable,
            who,
        )))
    }

    fn trial(
        &mut self,
        task: &TaskView,
        sides: &[Side; 2],
        snapshot: &Snapshot,
        now: Instant,
    ) -> Option<Outcome> {
        let key = task.arn.to_string();
        let revisions = [sides[0].revision, sides[1].revision];
        self.trials.remove_if(&key, |trial| {
            trial.sides != *sides || !may_try(task, sides, &trial.agent, snapshot)
        });
        if let Entry::Occupied(wait) = self.waits.entry(key.clone())
            && wait.get().revisions != revisions
        {
            wait.remove();
        }
        if let Entry::Occupied(failed) = self.failed.entry(key.clone())
            && failed.get().revisions != revisions
        {
            failed.remove();
        }
        if let Some((agent, result)) = self.trials.verdict(&key, now) {
            self.trials.remove(&key);
            let failed = self.failed.entry(key.clone());
            let failed = failed.or_insert_with(|| Failed::new(revisions, now));
            match result {
                Ok(()) => {
                    let unable = failed.agents();
                    self.forget(task);
                    return Some(Outcome {
                        result: Ok(()),
                        unable,
                        able: Some(agent),
                    });
                }
                Err(failure) => failed.add(agent, failure),
            }
            let mut others = task.eligible.iter();
            let is_last = failed.is_full()
                || !others.any(|agent| may_try(task, sides, agent, snapshot) && !failed.has(agent));
            if is_last {
                return self.give_up(&key, revisions, now);
            }
        }
        // Each replica tries the agents that are connected to it, one after the other.
        let waits = self.waits.get(&key).is_some_and(|wait| now < wait.next);
        let is_due = !waits && !self.trials.has(&key);
        let is_retry = self.waits.contains_key(&key);
        let failed = self.failed.get(&key);
        let mut agents = task.eligible.iter().filter(|_| is_due);
        let free = agents.find(|agent| {
            self.trials.has_room(agent, is_retry)
                && may_try(task, sides, agent, snapshot)
                && !failed.is_some_and(|failed| failed.has(agent))
        });
        if let Some(agent) = free {
            self.trials.begin(key, agent, sides, is_retry);
        }
        None
    }

    /// All that could be tried have failed: they are tried again after a growing pause.
    fn give_up(&mut self, task: &str, revisions: [Revision; 2], now: Instant) -> Option<Outcome> {
        let before = self.waits.remove(task).map_or(0, |wait| wait.failures);
        let wait = RETRY_MIN.saturating_mul(1 << before.min(8));
        let waiting = Wait {
            failures: before.saturating_add(1),
            next: now + wait.min(RETRY_MAX),
            revisions,
        };
        self.waits.insert(task.to_owned(), waiting);
        let failed = self.failed.remove(task)?;
        Some(Outcome {
            result: Err(failed.why()?),
            unable: failed.agents(),
            able: None,
        })
    }
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
