//! Typed access to rows within one transaction.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use datasync_model::TaskArn;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Access;
use super::rows::{Sorted, Unreadable, decode, sort, whole};
use super::sql::{Sql, Value};
use super::{Cause, StoreError};
use crate::events;
use crate::records::{Execution, Task};

/// The one row that holds incarnation (body) and generation (version).
pub(super) const META_KIND: &str = "meta";

/// The layout of bodies. A record that changes in a way that serde's defaults do not cover
/// raises it and converts older ones where they are read.
pub(super) const FORMAT: u32 = 1;

/// The record `?2` of the kind `?1`.
pub(super) const ONE: &str = "SELECT id, version, body FROM records WHERE kind = ?1 AND id = ?2";

/// `?3` records of the kind `?1` after `?2`.
pub(super) const PAGE: &str = "SELECT id, version, body FROM records
     WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

/// Something that is kept as a row.
pub(crate) trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// The row's kind; never changes once released.
    const KIND: &'static str;
    /// Unique within the kind; lists are in its order.
    fn id(&self) -> String;
    /// What [`Transaction::list_children`] finds the row by.
    fn parent(&self) -> Option<String>;
}

/// A record and the version that it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versioned<R> {
    /// Rises with each update.
    pub(crate) version: i64,
    /// The record.
    pub(crate) record: R,
}

/// Where the desired state stands: see the agent protocol's `Generation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Made with the store, and made anew once it is known to have been restored.
    pub(crate) incarnation: String,
    /// Rises with every commit that changes a row.
    pub(crate) number: u64,
}

#[derive(Serialize)]
struct BodyRef<'a, R> {
    format: u32,
    record: &'a R,
}

/// One consistent view of the rows.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    sql: Sql<'a>,
    writable: bool,
    changed: Cell<bool>,
    /// Kind and id of changed rows that may change a state that is told.
    touched: RefCell<BTreeSet<(&'static str, String)>>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(sql: Sql<'a>, access: Access) -> Self {
        Self {
            sql,
            writable: access == Access::Write,
            changed: Cell::new(false),
            touched: RefCell::default(),
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.changed.get()
    }

    pub(super) fn take_touched(&self) -> BTreeSet<(&'static str, String)> {
        self.touched.take()
    }

    fn touch<R: Record>(&self, id: &str) {
        if events::tells(R::KIND) {
            self.touched.borrow_mut().insert((R::KIND, id.to_owned()));
        }
    }

    /// The record with this id, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] of the database or of a row that cannot be read.
    pub(crate) fn get<R: Record>(&self, id: &str) -> Result<Option<Versioned<R>>, StoreError> {
        let rows = self.sql.select(
            "reading a record",
            ONE,
            &[Value::Text(R::KIND), Value::Text(id)],
        )?;
        let row = rows.into_iter().next();
        row.map(|raw| decode(raw).map_err(StoreError::from))
            .transpose()
    }

    /// At most `limit` records in the order of their ids, beginning after `after`.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn list<R: Record>(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Versioned<R>>, StoreError> {
        whole(self.select(
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
        whole(self.select(
            self.sql.children(),
            &[
                Value::Text(R::KIND),
                Value::Text(parent),
                Value::Text(after.unwrap_or("")),
                limit_of(limit),
            ],
        )?)
    }

    /// Executions that have not ended, in the order of their ids.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn live_executions(&self) -> Result<Vec<Versioned<Execution>>, StoreError> {
        whole(self.select(self.sql.live_executions(), &[])?)
    }

    /// Like [`Self::live_executions`], apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn sorted_live_executions(&self) -> Result<Sorted<Execution>, StoreError> {
        Ok(sort(self.select(self.sql.live_executions(), &[])?))
    }

    /// Tasks whose schedule has a start that is due at `now_ms`, the longest waiting first.
    ///
    /// # Errors
    /// [`StoreError`] of the database. Rows that cannot be read are passed over.
    pub(crate) fn due_tasks(&self, now_ms: i64, limit: usize) -> Result<Vec<TaskArn>, StoreError> {
        let values = [Value::Number(now_ms), limit_of(limit)];
        let (tasks, _) = sort(self.select::<Task>(self.sql.due_tasks(), &values)?);
        Ok(tasks.into_iter().map(|row| row.record.arn).collect())
    }

    /// At most `limit` executions that ended before `before_ms`, in the order of their ends and
    /// ids, beginning after the end and id `after`.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn ended_executions(
        &self,
        after: (i64, &str),
        before_ms: i64,
        limit: usize,
    ) -> Result<Vec<Versioned<Execution>>, StoreError> {
        let (from_ms, id) = after;
        let values = [
            Value::Number(from_ms),
            Value::Text(id),
            Value::Number(before_ms),
            limit_of(limit),
        ];
        whole(self.select(self.sql.ended_executions(), &values)?)
    }

    /// Makes a record; it must not exist yet.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its id is taken.
    pub(crate) fn insert<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        self.write(
            record,
            "INSERT INTO records (kind, id, version, parent, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            1,
        )
    }

    /// Replaces a record, if it still has the version that it was read at.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it was changed or deleted since.
    pub(crate) fn update<R: Record>(&self, versioned: &Versioned<R>) -> Result<(), StoreError> {
        self.write(
            &versioned.record,
            "UPDATE records SET version = version + 1, parent = ?4, body = ?5
             WHERE kind = ?1 AND id = ?2 AND version = ?3",
            versioned.version,
        )
    }

    /// Deletes a record, if it still has this version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it was changed or deleted since.
    pub(crate) fn delete<R: Record>(&self, id: &str, version: i64) -> Result<(), StoreError> {
        let rows = self.change(
            "DELETE FROM records WHERE kind = ?1 AND id = ?2 AND version = ?3",
            &[
                Value::Text(R::KIND),
                Value::Text(id),
                Value::Number(version),
            ],
        )?;
        self.touch::<R>(id);
        expect_one(R::KIND, id, rows)
    }

    /// Deletes every record whose parent sorts before `parent`; says how many.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn delete_before_parent<R: Record>(&self, parent: &str) -> Result<u64, StoreError> {
        self.change(
            "DELETE FROM records WHERE kind = ?1 AND parent < ?2",
            &[Value::Text(R::KIND), Value::Text(parent)],
        )
    }

    /// Incarnation and generation before this transaction's own changes.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn generation(&self) -> Result<Generation, StoreError> {
        generation(self.sql)
    }

    /// Begins a new incarnation: generations of the one before cannot be compared any more.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn set_incarnation(&self, incarnation: &str) -> Result<(), StoreError> {
        let rows = self.change(
            "UPDATE records SET body = ?2 WHERE kind = ?1 AND id = ?1",
            &[Value::Text(META_KIND), Value::Text(incarnation)],
        )?;
        expect_one(META_KIND, META_KIND, rows)
    }

    fn write<R: Record>(
        &self,
        record: &R,
        sql: &'static str,
        version: i64,
    ) -> Result<(), StoreError> {
        let id = record.id();
        let body = serde_json::to_string(&BodyRef {
            format: FORMAT,
            record,
        })
        .map_err(|error| StoreError::Broken {
            kind: R::KIND,
            id: id.clone(),
            reason: error.to_string(),
        })?;
        let parent = record.parent();
        let rows = self.change(
            sql,
            &[
                Value::Text(R::KIND),
                Value::Text(&id),
                Value::Number(version),
                Value::Maybe(parent.as_deref()),
                Value::Text(&body),
            ],
        )?;
        self.touch::<R>(&id);
        expect_one(R::KIND, &id, rows)
    }

    fn change(&self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let doing = "changing a record";
        if !self.writable {
            return Err(self.sql.failed(doing)(Cause::ReadOnly));
        }
        let rows = self.sql.change(doing, sql, values)?;
        if rows > 0 {
            self.changed.set(true);
        }
        Ok(rows)
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

fn limit_of(limit: usize) -> Value<'static> {
    Value::Number(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn expect_one(kind: &'static str, id: &str, rows: u64) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            kind,
            id: id.to_owned(),
        })
    }
}

pub(super) fn generation(sql: Sql<'_>) -> Result<Generation, StoreError> {
    meta(
        sql,
        "reading the generation",
        "SELECT id, version, body FROM records WHERE kind = ?1 AND id = ?1",
    )
}

pub(super) fn raise_generation(sql: Sql<'_>) -> Result<u64, StoreError> {
    let raised = meta(
        sql,
        "raising the generation",
        "UPDATE records SET version = version + 1 WHERE kind = ?1 AND id = ?1
         RETURNING id, version, body",
    )?;
    Ok(raised.number)
}

fn meta(
    sql: Sql<'_>,
    doing: &'static str,
    statement: &'static str,
) -> Result<Generation, StoreError> {
    let rows = sql.select(doing, statement, &[Value::Text(META_KIND)])?;
    let row = rows.into_iter().next().ok_or_else(|| StoreError::Broken {
        kind: META_KIND,
        id: META_KIND.to_owned(),
        reason: "it is missing".to_owned(),
    })?;
    Ok(Generation {
        incarnation: row.body,
        number: row.version.unsigned_abs(),
    })
}
