//! Rows as they are read: as records, or set apart where they cannot be.

use serde::Deserialize;

use super::StoreError;
use super::transaction::{FORMAT, Record, Versioned};

/// A row that cannot be read as its record. `Debug` does not show its body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// The record's kind.
    pub(crate) kind: &'static str,
    /// Its id.
    pub(crate) id: String,
    /// What does not fit.
    pub(crate) reason: String,
    body: String,
}

/// Every row of a kind: those that can be read, and those that cannot.
pub(crate) type Sorted<R> = (Vec<Versioned<R>>, Vec<Unreadable>);

impl std::fmt::Debug for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unreadable")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl Unreadable {
    pub(crate) fn new(kind: &'static str, id: String, reason: String) -> Self {
        Self {
            kind,
            id,
            reason,
            body: String::new(),
        }
    }

    /// A text of the record by its JSON pointer, as far as the body still has it.
    pub(crate) fn text(&self, pointer: &str) -> Option<String> {
        Some(self.value(pointer)?.as_str()?.to_owned())
    }

    /// Like [`Self::text`], a number.
    pub(crate) fn number(&self, pointer: &str) -> Option<i64> {
        self.value(pointer)?.as_i64()
    }

    fn value(&self, pointer: &str) -> Option<serde_json::Value> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body.get("record")?.pointer(pointer).cloned()
    }
}

impl From<Unreadable> for StoreError {
    fn from(row: Unreadable) -> Self {
        Self::Broken {
            kind: row.kind,
            id: row.id,
            reason: row.reason,
        }
    }
}

#[derive(Deserialize)]
struct Body<R> {
    format: u32,
    record: R,
}

/// A row as the database has it.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) body: String,
}

pub(super) fn decode<R: Record>(raw: Raw) -> Result<Versioned<R>, Unreadable> {
    let reason = match serde_json::from_str::<Body<R>>(&raw.body) {
        Ok(Body { format, record }) if format == FORMAT => {
            return Ok(Versioned {
                version: raw.version,
                record,
            });
        }
        Ok(Body { format, .. }) => {
            format!("its format is {format}, this release knows {FORMAT}")
        }
        Err(error) => error.to_string(),
    };
    Err(Unreadable {
        kind: R::KIND,
        id: raw.id,
        reason,
        body: raw.body,
    })
}

/// The rows, if all of them can be read.
///
/// # Errors
/// [`StoreError::Broken`] with the first that cannot.
pub(crate) fn whole<R>((rows, apart): Sorted<R>) -> Result<Vec<Versioned<R>>, StoreError> {
    match apart.into_iter().next() {
        None => Ok(rows),
        Some(row) => Err(row.into()),
    }
}

pub(super) fn sort<R>(rows: Vec<Result<Versioned<R>, Unreadable>>) -> Sorted<R> {
    let mut sorted = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match row {
            Ok(row) => sorted.0.push(row),
            Err(row) => sorted.1.push(row),
        }
    }
    sorted
}
