//! Typed access to rows within one transaction.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Access;
use super::meta::{self, Generation, META_KIND};
use super::rows::decode;
use super::sql::{Sql, Value};
use super::{Cause, StoreError};
use crate::events;

/// The layout of bodies. A record that changes in a way that serde's defaults do not cover
/// raises it and converts older ones where they are read.
pub(super) const FORMAT: u32 = 1;

/// The record `?2` of the kind `?1`.
pub(super) const ONE: &str = "SELECT id, version, body FROM records WHERE kind = ?1 AND id = ?2";

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

#[derive(Serialize)]
struct BodyRef<'a, R> {
    format: u32,
    record: &'a R,
}

/// One consistent view of the rows.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    pub(super) sql: Sql<'a>,
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

    /// Deletes those of the records `ids` that exist, whatever their versions; says how many. Of
    /// changed states nobody is told: they must be of records that have none any more.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn delete_several<R: Record>(&self, ids: &[String]) -> Result<u64, StoreError> {
        let ids = serde_json::Value::from(ids).to_string();
        let values = [Value::Text(R::KIND), Value::Text(&ids)];
        self.change(self.sql.statements().delete_several, &values)
    }

    /// Deletes every record whose parent is `parent`, whatever its version.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn delete_children<R: Record>(&self, parent: &str) -> Result<u64, StoreError> {
        self.change(
            "DELETE FROM records WHERE kind = ?1 AND parent = ?2",
            &[Value::Text(R::KIND), Value::Text(parent)],
        )
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
        meta::generation(self.sql)
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
