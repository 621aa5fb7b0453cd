//! Lists of rows. What a list reads is what it returns, however many rows there are.

use datasync_model::{TaskArn, TaskStatus};

use super::StoreError;
use super::rows::{Sorted, Unreadable, decode, sort, whole};
use super::sql::Value;
use super::transaction::{Record, Transaction, Versioned};
use crate::records::{Agent, Execution, Task};

/// `?3` records of the kind `?1` after `?2`.
pub(super) const PAGE: &str = "SELECT id, version, body FROM records
     WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

/// How a task uses a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UseOf {
    Source,
    Destination,
}

/// A record's place in a list that is ordered by times: a time in milliseconds, and the id.
pub(crate) type PlaceInTime = (i64, String);

impl Transaction<'_> {
    /// At most `limit` records in the order of their ids, beginning after `after`.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn list<R: Record>(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<R>>, StoreError> {
        all(self.select(
            PAGE,
            &[
                Value::Text(R::KIND),
                Value::Text(after.unwrap_or("")),
                limit_of(limit),
            ],
        )?)
    }

    /// Every record in the order of the ids, apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn sorted<R: Record>(&self) -> Result<Sorted<R>, StoreError> {
        Ok(sort(self.select(
            "SELECT id, version, body FROM records WHERE kind = ?1 ORDER BY id",
            &[Value::Text(R::KIND)],
        )?))
    }

    /// Like [`Self::list`], apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn sorted_page<R: Record>(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Sorted<R>, StoreError> {
        let after = Value::Text(after.unwrap_or(""));
        let values = [Value::Text(R::KIND), after, limit_of(limit)];
        Ok(sort(self.select(PAGE, &values)?))
    }

    /// Those of the records `ids` that exist, in no order, apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn several<R: Record>(&self, ids: &[String]) -> Result<Sorted<R>, StoreError> {
        let mut found: Sorted<R> = (Vec::new(), Vec::new());
        for ids in ids.chunks(SEVERAL_MAX) {
            let ids = serde_json::Value::from(ids).to_string();
            let values = [Value::Text(R::KIND), Value::Text(&ids)];
            let (rows, unreadable) = sort(self.select(self.sql.statements().several, &values)?);
            found.0.extend(rows);
            found.1.extend(unreadable);
        }
        Ok(found)
    }

    /// Like [`Self::list`], of those whose parent is `parent`.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn list_children<R: Record>(
        &self,
        parent: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<R>>, StoreError> {
        all(self.select(
            self.sql.statements().children,
            &[
                Value::Text(R::KIND),
                Value::Text(parent),
                Value::Text(after.unwrap_or("")),
                limit_of(limit),
            ],
        )?)
    }

    /// Like [`Self::list_children`], apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn sorted_children<R: Record>(
        &self,
        parent: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Sorted<R>, StoreError> {
        let values = [
            Value::Text(R::KIND),
            Value::Text(parent),
            Value::Text(after.unwrap_or("")),
            limit_of(limit),
        ];
        Ok(sort(self.select(self.sql.statements().children, &values)?))
    }

    /// Like [`Self::list`], of executions that have not ended, apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn live_executions(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Sorted<Execution>, StoreError> {
        let values = [Value::Text(after.unwrap_or("")), limit_of(limit)];
        let statement = self.sql.statements().live_executions;
        Ok(sort(self.select(statement, &values)?))
    }

    /// Executions that agents were told of and that have not ended, by id, apart from rows that
    /// cannot be read. There are as many as agents have room for.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn launched_executions(&self) -> Result<Sorted<Execution>, StoreError> {
        let statement = self.sql.statements().launched_executions;
        Ok(sort(self.select(statement, &[])?))
    }

    /// At most `limit` executions that wait for an agent, the longest waiting first, beginning
    /// after the place `after`; apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn queued_executions(
        &self,
        after: Option<&PlaceInTime>,
        limit: usize,
    ) -> Result<Sorted<Execution>, StoreError> {
        let (from_ms, id) = of_place(after);
        let values = [Value::Number(from_ms), Value::Text(id), limit_of(limit)];
        let statement = self.sql.statements().queued_executions;
        Ok(sort(self.select(statement, &values)?))
    }

    /// At most `limit` executions of the task with the id `task` that have not ended: first what
    /// is launched, then what waits, the longest waiting first.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn live_of_task(
        &self,
        task: &str,
        limit: usize,
    ) -> Result<Vec<Versioned<Execution>>, StoreError> {
        let values = [Value::Text(task), limit_of(limit)];
        all(self.select(self.sql.statements().live_of_task, &values)?)
    }

    /// Executions of the tasks with the ids `tasks` that have not ended, in no order.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn live_of_tasks(
        &self,
        tasks: &[String],
    ) -> Result<Vec<Versioned<Execution>>, StoreError> {
        let limit = limit_of(tasks.len().saturating_mul(LIVE_OF_TASK_MAX));
        let tasks = serde_json::Value::from(tasks).to_string();
        let values = [Value::Text(&tasks), limit];
        all(self.select(self.sql.statements().live_of_tasks, &values)?)
    }

    /// The id of the first of [`Self::live_of_task`], whether or not its row can be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn first_of_task(&self, task: &str) -> Result<Option<String>, StoreError> {
        let values = [Value::Text(task), limit_of(1)];
        let rows = self.select::<Execution>(self.sql.statements().live_of_task, &values)?;
        let first = rows.into_iter().next();
        Ok(first.map(|row| match row {
            Ok(row) => row.record.id(),
            Err(row) => row.id,
        }))
    }

    /// At most `limit` executions that ended before `before_ms`, in the order of their ends,
    /// beginning after the place `after`; apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn ended_executions(
        &self,
        after: Option<&PlaceInTime>,
        before_ms: i64,
        limit: usize,
    ) -> Result<Sorted<Execution>, StoreError> {
        let (from_ms, id) = of_place(after);
        let values = [
            Value::Number(from_ms),
            Value::Text(id),
            Value::Number(before_ms),
            limit_of(limit),
        ];
        let statement = self.sql.statements().ended_executions;
        Ok(sort(self.select(statement, &values)?))
    }

    /// Tasks whose schedule has a start that is due at `now_ms`, the longest waiting first.
    ///
    /// # Errors
    /// [`StoreError`] of the database. Rows that cannot be read are passed over.
    pub(crate) fn due_tasks(&self, now_ms: i64, limit: usize) -> Result<Vec<TaskArn>, StoreError> {
        let (tasks, _) = self.planned_tasks(None, now_ms, limit)?;
        Ok(tasks.into_iter().map(|row| row.record.arn).collect())
    }

    /// At most `limit` tasks whose next start is due at `until_ms` at the latest, the earliest
    /// first, beginning after the place `after`; apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn planned_tasks(
        &self,
        after: Option<&PlaceInTime>,
        until_ms: i64,
        limit: usize,
    ) -> Result<Sorted<Task>, StoreError> {
        let (from_ms, id) = of_place(after);
        let values = [
            Value::Number(from_ms),
            Value::Text(id),
            Value::Number(until_ms),
            limit_of(limit),
        ];
        let statement = self.sql.statements().planned_tasks;
        Ok(sort(self.select(statement, &values)?))
    }

    /// At most `limit` tasks that were found to be `readiness` (CREATING, AVAILABLE or UNAVAILABLE),
    /// in the order of their ids, beginning after `after`; apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn tasks_by_readiness(
        &self,
        readiness: TaskStatus,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Sorted<Task>, StoreError> {
        let status = readiness.to_string();
        let values = [
            Value::Text(&status),
            Value::Text(after.unwrap_or("")),
            limit_of(limit),
        ];
        let statement = self.sql.statements().tasks_by_readiness;
        Ok(sort(self.select(statement, &values)?))
    }

    /// At most `limit` tasks that use the location with the ARN `location` as `use_of`, in the order of
    /// their ids, beginning after `after`.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn tasks_of_location(
        &self,
        location: &str,
        use_of: UseOf,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<Task>>, StoreError> {
        let values = [
            Value::Text(location),
            Value::Text(after.unwrap_or("")),
            limit_of(limit),
        ];
        let statements = self.sql.statements();
        all(self.select(
            match use_of {
                UseOf::Source => statements.tasks_by_source,
                UseOf::Destination => statements.tasks_by_destination,
            },
            &values,
        )?)
    }

    /// The first agent that the machine with this key pair may act as, by its fingerprint.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn agent_by_key(
        &self,
        fingerprint: &str,
    ) -> Result<Option<Versioned<Agent>>, StoreError> {
        let values = [Value::Text(fingerprint), limit_of(1)];
        let found = all(self.select(self.sql.statements().agents_by_key, &values)?)?;
        Ok(found.into_iter().next())
    }

    fn select<R: Record>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Result<Versioned<R>, Unreadable>>, StoreError> {
        let rows = self.sql.select("listing records", sql, values)?;
        Ok(rows.into_iter().map(decode).collect())
    }
}

/// Ids in one statement.
const SEVERAL_MAX: usize = 500;
/// More executions of a task than ever wait and run at a time (AWS: 50 wait at most).
const LIVE_OF_TASK_MAX: usize = 100;

fn limit_of(limit: usize) -> Value<'static> {
    Value::Number(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn of_place(place: Option<&PlaceInTime>) -> (i64, &str) {
    place.map_or((i64::MIN, ""), |(at, id)| (*at, id))
}

fn all<R>(rows: Vec<Result<Versioned<R>, Unreadable>>) -> Result<Vec<Versioned<R>>, StoreError> {
    whole(sort(rows))
}
