//! Where the desired state stands: one row.

use super::StoreError;
use super::sql::{Sql, Value};

/// The one row that holds incarnation (body) and generation (version).
pub(in crate::store) const META_KIND: &str = "meta";

/// Where the desired state stands: see the agent protocol's `Generation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Made with the store, and made anew once it is known to have been restored.
    pub(crate) incarnation: String,
    /// Rises with every commit that changes a row.
    pub(crate) number: u64,
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
