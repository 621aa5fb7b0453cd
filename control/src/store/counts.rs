//! How many rows there are, for those who watch control.

use super::StoreError;
use super::sql::Value;
use super::transaction::{Record, Transaction};

/// The number of records of the kind `?1`, as the version of one row.
const COUNT: &str = "SELECT '' AS id, count(*) AS version, '' AS body FROM records WHERE kind = ?1";

impl Transaction<'_> {
    /// How many records of a kind there are. Reads an index of all of them: for kinds that are few.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn count<R: Record>(&self) -> Result<u64, StoreError> {
        self.counted(COUNT, &[Value::Text(R::KIND)])
    }

    /// How many executions wait for an agent. Reads an index of these.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(crate) fn queue_length(&self) -> Result<u64, StoreError> {
        self.counted(self.sql.statements().queue_length, &[])
    }

    fn counted(&self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let rows = self.sql.select("counting records", sql, values)?;
        let count = rows.first().map(|row| row.version);
        Ok(count
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0))
    }
}
