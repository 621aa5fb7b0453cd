//! What the decisions of one round need, read at one moment: agents, what they were told to run,
//! and a bounded part of the queue and of the tasks. A row that cannot be read stops nothing but
//! what it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use datasync_model::{AgentArn, LocationArn, TaskExecutionArn, TaskStatus};
use jiff::Timestamp;

use super::located::Locations;
use super::walk::{NEW_TASKS, QUEUE, TRIED_TASKS, Walk, goes_on};
use super::{Surroundings, agents};
use crate::fleet::views::{LiveExecution, Snapshot, TaskView};
use crate::records::{Eligible, Execution, Task};
use crate::store::{Sorted, StoreError, Transaction, Unreadable};

/// What a round looks at.
#[derive(Debug, Clone)]
pub(in crate::fleet) struct Look {
    /// Executions that an agent runs at a time.
    pub(in crate::fleet) executions_per_agent: NonZeroU32,
    /// Ids of tasks that agents are trying.
    pub(in crate::fleet) tried: Vec<String>,
    /// Whether tasks are looked at that were tried before, besides those that were never.
    pub(in crate::fleet) is_wide: bool,
    /// Where the look begins.
    pub(in crate::fleet) walk: Walk,
}

/// What was read so far.
struct Reader<'a> {
    rows: &'a Transaction<'a>,
    look: &'a Look,
    snapshot: Snapshot,
    locations: Locations<'a>,
    /// Where the next look begins.
    next: Walk,
}

/// The second is where the next look begins, if nothing of this one is to be seen again.
pub(super) fn read(
    rows: &Transaction<'_>,
    surroundings: &Surroundings,
    look: &Look,
) -> Result<(Snapshot, Walk), StoreError> {
    let generation = rows.generation()?;
    let mut reader = Reader {
        rows,
        look,
        snapshot: Snapshot {
            incarnation: generation.incarnation,
            generation: generation.number,
            ..Snapshot::default()
        },
        locations: Locations::new(rows, surroundings),
        next: look.walk.clone(),
    };
    agents::read(rows, &mut reader.snapshot)?;
    reader.launched()?;
    reader.queue()?;
    reader.tasks()?;
    Ok((reader.snapshot, reader.next))
}

impl Reader<'_> {
    fn launched(&mut self) -> Result<(), StoreError> {
        let (executions, unreadable) = self.rows.launched_executions()?;
        for row in unreadable {
            let agent = row.text("/agent");
            let agent = agent.and_then(|arn| arn.parse::<AgentArn>().ok());
            let held = agent.map(|agent| agent.id().to_owned());
            self.snapshot.held.extend(held);
            self.leave_task_alone(row);
        }
        let executions = executions.into_iter().map(|row| row.record).collect();
        self.executions(executions)
    }

    /// None of the task's executions is launched while this one cannot be read.
    fn leave_task_alone(&mut self, execution: Unreadable) {
        let arn = execution.text("/spec/execution");
        let arn = arn.and_then(|arn| arn.parse::<TaskExecutionArn>().ok());
        let busy = arn.map(|arn| arn.task().to_string());
        self.snapshot.busy_tasks.extend(busy);
        self.snapshot.unreadable.push(execution);
    }

    fn executions(&mut self, executions: Vec<Execution>) -> Result<(), StoreError> {
        self.locate(executions.iter().flat_map(|execution| {
            [
                execution.spec.source.arn(),
                execution.spec.destination.arn(),
            ]
        }))?;
        for execution in executions {
            let view = self.live_execution(execution)?;
            self.snapshot.executions.push(view);
        }
        Ok(())
    }

    /// The queue matters while an agent has room.
    fn queue(&mut self) -> Result<(), StoreError> {
        if !self.has_room() {
            self.next.queue = None;
            return Ok(());
        }
        let after = self.look.walk.queue.as_ref();
        let queued = self.rows.queued_executions(after, QUEUE)?;
        self.next.queue = goes_on(
            &queued,
            QUEUE,
            |row| (row.requested_at_ms, row.arn().id().to_owned()),
            |row| {
                let requested_at_ms = row.number("/requested_at_ms");
                (requested_at_ms.unwrap_or(i64::MIN), row.id.clone())
            },
        );
        let (mut executions, unreadable): Sorted<Execution> = queued;
        for row in unreadable {
            self.leave_task_alone(row);
        }
        if after.is_some() {
            let mut in_turn = Vec::with_capacity(executions.len());
            for row in executions {
                if self.is_in_turn(&row.record)? {
                    in_turn.push(row);
                }
            }
            executions = in_turn;
        }
        self.executions(executions.into_iter().map(|row| row.record).collect())
    }

    fn has_room(&self) -> bool {
        let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
        let launched = self.snapshot.executions.iter();
        for agent in launched.filter_map(|execution| execution.agent.as_ref()) {
            *taken.entry(agent.id()).or_default() += 1;
        }
        let slots = self.look.executions_per_agent.get();
        self.snapshot.agents.values().any(|view| {
            let taken = taken.get(view.arn.id()).copied().unwrap_or_default();
            view.online && taken < slots
        })
    }

    /// Whether no execution of the same task comes before this one, among those that were looked at
    /// earlier.
    fn is_in_turn(&self, execution: &Execution) -> Result<bool, StoreError> {
        let arn = execution.arn();
        let first = self.rows.first_of_task(arn.task().id())?;
        Ok(first.is_none_or(|first| first == arn.id()))
    }

    fn tasks(&mut self) -> Result<(), StoreError> {
        let walk = self.look.walk.clone();
        let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
        let tried = self.rows.several::<Task>(&self.look.tried)?;
        self.take(tried, &mut tasks);
        let (read, next) = self.readiness(TaskStatus::Creating, walk.creating, NEW_TASKS)?;
        self.take(read, &mut tasks);
        self.next.creating = next;
        if self.look.is_wide {
            let (read, next) =
                self.readiness(TaskStatus::Unavailable, walk.unavailable, TRIED_TASKS)?;
            self.take(read, &mut tasks);
            self.next.unavailable = next;
            let (read, next) =
                self.readiness(TaskStatus::Available, walk.available, TRIED_TASKS)?;
            self.take(read, &mut tasks);
            self.next.available = next;
        }
        self.locate(
            tasks
                .values()
                .flat_map(|task| [&task.source, &task.destination]),
        )?;
        for task in tasks.into_values() {
            let view = self.task_view(task);
            self.snapshot.tasks.push(view);
        }
        Ok(())
    }

    fn readiness(
        &self,
        readiness: TaskStatus,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Sorted<Task>, Option<String>), StoreError> {
        let rows = self
            .rows
            .tasks_by_readiness(readiness, after.as_deref(), limit)?;
        let id = |task: &Task| task.arn.id().to_owned();
        let next = goes_on(&rows, limit, id, |row| row.id.clone());
        Ok((rows, next))
    }

    fn take(&mut self, (rows, unreadable): Sorted<Task>, tasks: &mut BTreeMap<String, Task>) {
        self.note_unreadable(unreadable);
        let rows = rows.into_iter().map(|row| row.record);
        tasks.extend(rows.map(|task| (task.arn.id().to_owned(), task)));
    }

    fn note_unreadable(&mut self, rows: Vec<Unreadable>) {
        let known: BTreeSet<String> = self
            .snapshot
            .unreadable
            .iter()
            .map(|r| r.id.clone())
            .collect();
        let new = rows.into_iter().filter(|row| !known.contains(&row.id));
        self.snapshot.unreadable.extend(new);
    }

    fn locate<'b>(
        &mut self,
        locations: impl Iterator<Item = &'b LocationArn>,
    ) -> Result<(), StoreError> {
        let unreadable = self.locations.read(locations)?;
        self.note_unreadable(unreadable);
        Ok(())
    }

    fn task_view(&self, task: Task) -> TaskView {
        let allowed = self.locations.allowed(&task);
        TaskView {
            status: task.readiness.status(),
            failure: task.readiness.failure().cloned(),
            created: timestamp(task.created_at_ms),
            eligible: allowed.map_or_else(Vec::new, |allowed| self.expand(&allowed)),
            sides: self.locations.sides(&task),
            arn: task.arn,
        }
    }

    /// The versions of the keys of the roles for manifest and report. One that cannot be read counts
    /// as none: whoever asks for the keys is told.
    fn role_keys(&mut self, execution: &Execution) -> Result<BTreeMap<String, i64>, StoreError> {
        let mut versions = BTreeMap::new();
        let extensions = &execution.spec.extensions;
        let manifest = extensions.manifest.as_ref().map(|m| &m.role_arn);
        let report = extensions.report.as_ref().map(|report| &report.role_arn);
        for role in manifest.into_iter().chain(report) {
            let store = self.locations.store_of_role(role)?;
            versions.insert(role.clone(), store.map_or(0, |store| store.key_version));
        }
        Ok(versions)
    }

    fn live_execution(&mut self, execution: Execution) -> Result<LiveExecution, StoreError> {
        let role_keys = self.role_keys(&execution)?;
        let sides = [&execution.spec.source, &execution.spec.destination];
        Ok(LiveExecution {
            arn: execution.arn().clone(),
            status: execution.status,
            eligible: self.expand(&execution.eligible),
            agent: execution.agent,
            tenure: execution.tenure,
            requested: timestamp(execution.requested_at_ms),
            revisions: sides.map(|side| self.locations.revision(side.arn())),
            role_keys,
            spec: execution.spec,
            rate: execution.rate,
        })
    }

    fn expand(&self, eligible: &Eligible) -> Vec<AgentArn> {
        match eligible {
            Eligible::Any => {
                let agents = self.snapshot.agents.values();
                agents.map(|view| view.arn.clone()).collect()
            }
            Eligible::Only(only) => only.clone(),
        }
    }
}

pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}
