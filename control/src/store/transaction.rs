//! Typed access to rows within one transaction.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use datasync_model::TaskArn;
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::rows::{Sorted, Unreadable, decode, raw, sort, whole};
use crate::events;
use crate::records::{Execution, Task};

/// The one row that holds incarnation (body) and generation (version).
pub(super) const META_KIND: &str = "meta";

/// The layout of bodies. A record that changes in a way that serde's defaults do not cover
/// raises it and converts older ones where they are read.
pub(super) const FORMAT: u32 = 1;

const LIVE_EXECUTIONS: &str = "SELECT id, version, body FROM records
     WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL
     ORDER BY id";

pub(super) const DUE_TASKS: &str = "SELECT id, version, body FROM records
     WHERE kind = 'task' AND json_extract(body, '$.record.schedule.due_at_ms') <= ?1
     ORDER BY json_extract(body, '$.record.schedule.due_at_ms') LIMIT ?2";

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
    sql: &'a Connection,
    writable: bool,
    changed: Cell<bool>,
    /// Kind and id of changed rows that may change a state that is told.
    touched: RefCell<BTreeSet<(&'static str, String)>>,
}

impl<'a> Transaction<'a> {
    pub(super) fn reading(sql: &'a Connection) -> Self {
        Self {
            sql,
            writable: false,
            changed: Cell::new(false),
            touched: RefCell::default(),
        }
    }

    pub(super) fn writing(sql: &'a Connection) -> Self {
        Self {
            writable: true,
            ..Self::reading(sql)
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
        self.sql
            .prepare_cached("SELECT id, version, body FROM records WHERE kind = ?1 AND id = ?2")
            .and_then(|mut statement| statement.query_row((R::KIND, id), raw).optional())
            .map_err(StoreError::database(self.sql, "reading a record"))?
            .map(|raw| decode(raw).map_err(StoreError::from))
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
            "SELECT id, version, body FROM records WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            (R::KIND, after.unwrap_or(""), limit_of(limit)),
        )?)
    }

    /// Every record in the order of the ids, apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn sorted<R: Record>(&self) -> Result<Sorted<R>, StoreError> {
        Ok(sort(self.select(
            "SELECT id, version, body FROM records WHERE kind = ?1 ORDER BY id",
            (R::KIND,),
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
            "SELECT id, version, body FROM records
             WHERE kind = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            (R::KIND, parent, after.unwrap_or(""), limit_of(limit)),
        )?)
    }

    /// Executions that have not ended, in the order of their ids.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub(crate) fn live_executions(&self) -> Result<Vec<Versioned<Execution>>, StoreError> {
        whole(self.select(LIVE_EXECUTIONS, ())?)
    }

    /// Like [`Self::live_executions`], apart from rows that cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn sorted_live_executions(&self) -> Result<Sorted<Execution>, StoreError> {
        Ok(sort(self.select(LIVE_EXECUTIONS, ())?))
    }

    /// Tasks whose schedule has a start that is due at `now_ms`, the longest waiting first.
    ///
    /// # Errors
    /// [`StoreError`] of the database. Rows that cannot be read are passed over.
    pub(crate) fn due_tasks(&self, now_ms: i64, limit: usize) -> Result<Vec<TaskArn>, StoreError> {
        let (tasks, _) = sort(self.select::<Task>(DUE_TASKS, (now_ms, limit_of(limit)))?);
        Ok(tasks.into_iter().map(|row| row.record.arn).collect())
    }

    /// Makes a record; it must not exist yet.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its id is taken.
    pub(crate) fn insert<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        self.write(
            record,
            "INSERT OR IGNORE INTO records (kind, id, version, parent, body) VALUES (?1, ?2, ?3 + 1, ?4, ?5)",
            0,
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
            (R::KIND, id, version),
        )?;
        self.touch::<R>(id);
        expect_one(R::KIND, id, rows)
    }

    /// Deletes every record whose parent sorts before `parent`; says how many.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn delete_before_parent<R: Record>(
        &self,
        parent: &str,
    ) -> Result<usize, StoreError> {
        self.change(
            "DELETE FROM records WHERE kind = ?1 AND parent < ?2",
            (R::KIND, parent),
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
            (META_KIND, incarnation),
        )?;
        expect_one(META_KIND, META_KIND, rows)
    }

    fn write<R: Record>(&self, record: &R, sql: &str, version: i64) -> Result<(), StoreError> {
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
        let rows = self.change(sql, (R::KIND, &id, version, record.parent(), body))?;
        self.touch::<R>(&id);
        expect_one(R::KIND, &id, rows)
    }

    fn change(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        if !self.writable {
            let doing = "changing a record in a transaction that only reads";
            return Err(StoreError::database(self.sql, doing)(
                rusqlite::Error::InvalidQuery,
            ));
        }
        let rows = self
            .sql
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(StoreError::database(self.sql, "changing a record"))?;
        if rows > 0 {
            self.changed.set(true);
        }
        Ok(rows)
    }

    fn select<R: Record>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<Result<Versioned<R>, Unreadable>>, StoreError> {
        let failed = StoreError::database(self.sql, "listing records");
        let mut statement = self.sql.prepare_cached(sql).map_err(&failed)?;
        let rows = statement.query_map(values, raw).map_err(&failed)?;
        rows.map(|row| row.map_err(&failed).map(decode)).collect()
    }
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn expect_one(kind: &'static str, id: &str, rows: usize) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            kind,
            id: id.to_owned(),
        })
    }
}

pub(super) fn generation(sql: &Connection) -> Result<Generation, StoreError> {
    sql.prepare_cached("SELECT body, version FROM records WHERE kind = ?1 AND id = ?1")
        .and_then(|mut statement| {
            statement.query_row([META_KIND], |row| {
                Ok(Generation {
                    incarnation: row.get(0)?,
                    number: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })
        })
        .map_err(StoreError::database(sql, "reading the generation"))
}

pub(super) fn raise_generation(sql: &Connection) -> Result<u64, StoreError> {
    sql.prepare_cached(
        "UPDATE records SET version = version + 1 WHERE kind = ?1 AND id = ?1 RETURNING version",
    )
    .and_then(|mut statement| statement.query_row([META_KIND], |row| row.get::<_, i64>(0)))
    .map(i64::unsigned_abs)
    .map_err(StoreError::database(sql, "raising the generation"))
}
