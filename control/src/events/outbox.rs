//! Events are written by the commit that changes a state, whichever part of control made it.

use std::collections::BTreeSet;

use datasync_model::{ExecutionStatus, TaskStatus};

use super::queue::append;
use super::warnings::{Change, of_agent, of_control};
use crate::records::{Agent, AgentPresence, Announced, Execution, Life, Subject, Task, Warning};
use crate::store::{Record, StoreError, Transaction, Versioned};

/// Live executions of a task that are looked at (AWS: 50 wait at most).
const LIVE_MAX: usize = 1000;

/// Whether rows of this kind can change a state that is told.
pub(crate) fn tells(kind: &str) -> bool {
    [
        Agent::KIND,
        AgentPresence::KIND,
        Execution::KIND,
        Task::KIND,
    ]
    .contains(&kind)
}

/// Writes the events of a transaction that changed the rows `touched`, as its last step.
///
/// # Errors
/// [`StoreError`] of the database.
pub(crate) fn record(
    rows: &Transaction<'_>,
    touched: BTreeSet<(&'static str, String)>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let mut made = Made::default();
    let mut tasks = BTreeSet::new();
    for (kind, id) in touched {
        match kind {
            Execution::KIND => passing_over_broken(execution(rows, &id, &mut made, &mut tasks))?,
            Task::KIND => {
                tasks.insert(id);
            }
            _ => passing_over_broken(agent(rows, &id, now_ms, &mut made))?,
        }
    }
    for id in tasks {
        passing_over_broken(task(rows, &id, &mut made))?;
    }
    append(rows, made, now_ms)
}

/// Takes over the state of an agent or a task that none was announced of, without telling of it.
///
/// # Errors
/// [`StoreError`] of the database.
pub(super) fn adopt(rows: &Transaction<'_>, kind: &str, id: &str) -> Result<(), StoreError> {
    if rows.get::<Announced>(id)?.is_some() {
        return Ok(());
    }
    let mut untold = Made::default();
    passing_over_broken(match kind {
        Task::KIND => task(rows, id, &mut untold),
        _ => adopt_agent(rows, id),
    })
}

/// What there is to warn of is told when the agent is heard of.
fn adopt_agent(rows: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    let Some(row) = rows.get::<AgentPresence>(id)? else {
        return Ok(());
    };
    rows.insert(&Announced {
        subject: Subject::Agent(row.record.arn),
        state: row.record.reported.to_string(),
        warnings: Vec::new(),
    })
}

/// A row that cannot be read keeps nobody from working: its state is unknown, and not told.
fn passing_over_broken(told: Result<(), StoreError>) -> Result<(), StoreError> {
    match told {
        Err(error @ StoreError::Broken { .. }) => {
            tracing::error!(%error, "a change of state may not be told");
            Ok(())
        }
        told => told,
    }
}

/// Events without what their commit gives them.
#[derive(Default)]
pub(super) struct Made(pub(super) Vec<(Subject, String, Option<Warning>)>);

fn agent(rows: &Transaction<'_>, id: &str, now_ms: i64, made: &mut Made) -> Result<(), StoreError> {
    if rows.get::<Agent>(id)?.is_none() {
        return forget(rows, id);
    }
    // Without one it has never been heard of.
    let Some(row) = rows.get::<AgentPresence>(id)? else {
        return Ok(());
    };
    let presence = row.record;
    let known = rows.get::<Announced>(id)?;
    let before = known.as_ref().map(|row| row.record.warnings.as_slice());
    let (warnings, changes) = of_agent(before.unwrap_or_default(), &presence, now_ms);
    let next = Announced {
        subject: Subject::Agent(presence.arn),
        state: presence.reported.to_string(),
        warnings,
    };
    tell_all(rows, known, next, changes, made)
}

/// Writes the events of what `next` has and `known` has not.
fn tell_all(
    rows: &Transaction<'_>,
    known: Option<Versioned<Announced>>,
    next: Announced,
    changes: Vec<Change>,
    made: &mut Made,
) -> Result<(), StoreError> {
    let subject = next.subject.clone();
    let before = known.as_ref().map_or("", |row| &row.record.state);
    if next.state != before {
        made.0.push((subject.clone(), next.state.clone(), None));
    }
    for change in changes {
        let word = if change.is_raised {
            "RAISED"
        } else {
            "CLEARED"
        };
        tracing::warn!(subject = subject.id(), kind = ?change.warning.kind, event = "warning.changed", "warning {word}: {}",
            change.warning.message);
        made.0
            .push((subject.clone(), word.to_owned(), Some(change.warning)));
    }
    match known {
        Some(row) if row.record == next => Ok(()),
        Some(row) => rows.update(&Versioned {
            version: row.version,
            record: next,
        }),
        None => rows.insert(&next),
    }
}

/// Tells of the lives of control's own certificates and its authority what is news at `now_ms`.
///
/// # Errors
/// [`StoreError`] of the database.
pub(crate) fn warn_of_control(
    rows: &Transaction<'_>,
    control_arn: &str,
    lives: (&[Life], Life),
    now_ms: i64,
) -> Result<(), StoreError> {
    let known = rows.get::<Announced>(control_arn)?;
    let before = known.as_ref().map(|row| row.record.warnings.as_slice());
    let (warnings, changes) = of_control(before.unwrap_or_default(), lives, now_ms);
    if changes.is_empty() {
        return Ok(());
    }
    let next = Announced {
        subject: Subject::Control(control_arn.to_owned()),
        state: String::new(),
        warnings,
    };
    let mut made = Made::default();
    tell_all(rows, known, next, changes, &mut made)?;
    append(rows, made, now_ms)
}

fn execution(
    rows: &Transaction<'_>,
    id: &str,
    made: &mut Made,
    tasks: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let announced = rows.get::<Announced>(id)?;
    tasks.extend(announced.as_ref().and_then(|row| row.record.parent()));
    let Some(Versioned { record, .. }) = rows.get::<Execution>(id)? else {
        return forget(rows, id);
    };
    let ended = record.status.is_terminal();
    // It ended before: something else of it has changed.
    if ended && announced.is_none() {
        return Ok(());
    }
    tasks.insert(record.arn().task().id().to_owned());
    let subject = Subject::Execution(record.arn().clone());
    tell(rows, subject, &record.status.to_string(), made)?;
    if ended { forget(rows, id) } else { Ok(()) }
}

fn task(rows: &Transaction<'_>, id: &str, made: &mut Made) -> Result<(), StoreError> {
    let Some(Versioned { record, .. }) = rows.get::<Task>(id)? else {
        return forget(rows, id);
    };
    let live = rows.list_children::<Announced>(id, None, LIVE_MAX)?;
    let queued = ExecutionStatus::Queued.to_string();
    let status = if live.is_empty() {
        record.readiness.status()
    } else if live.iter().all(|row| row.record.state == queued) {
        TaskStatus::Queued
    } else {
        TaskStatus::Running
    };
    tell(rows, Subject::Task(record.arn), &status.to_string(), made)
}

fn tell(
    rows: &Transaction<'_>,
    subject: Subject,
    state: &str,
    made: &mut Made,
) -> Result<(), StoreError> {
    if announce(rows, &subject, state)? {
        made.0.push((subject, state.to_owned(), None));
    }
    Ok(())
}

/// Whether the state is another than the announced one.
pub(super) fn announce(
    rows: &Transaction<'_>,
    subject: &Subject,
    state: &str,
) -> Result<bool, StoreError> {
    match rows.get::<Announced>(subject.id())? {
        Some(row) if row.record.state == state => Ok(false),
        Some(mut row) => {
            state.clone_into(&mut row.record.state);
            rows.update(&row).map(|()| true)
        }
        None => {
            let (subject, state) = (subject.clone(), state.to_owned());
            let warnings = Vec::new();
            let announced = Announced {
                subject,
                state,
                warnings,
            };
            rows.insert(&announced).map(|()| true)
        }
    }
}

fn forget(rows: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    match rows.get::<Announced>(id)? {
        Some(row) => rows.delete::<Announced>(id, row.version),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
