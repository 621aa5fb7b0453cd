//! What is next of a log, and what of it was sent. A row that cannot be read costs its own lines and
//! no others.

use datasync_model::LogLine;

use crate::records::{ExecutionLog, LogChunk, LogShipment};
use crate::store::{Store, StoreError, Transaction, Unreadable};

/// Rows of lines that go together: each is at most a quarter of a call.
const CHUNKS: usize = 4;

/// What of a log goes together.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) lines: Vec<LogLine>,
    /// The rows before this one are sent then; `None` if there is nothing more that can be.
    pub(super) end: Option<u64>,
    /// Rows that are passed over.
    pub(super) unreadable: Vec<Unreadable>,
}

/// The next lines of the log with this id.
pub(super) async fn load(store: &Store, id: &str) -> Result<Load, StoreError> {
    let id = id.to_owned();
    let load = move |rows: &Transaction<'_>| {
        let (logs, unreadable) = rows.several::<ExecutionLog>(std::slice::from_ref(&id))?;
        let Some(log) = logs.into_iter().next().map(|row| row.record) else {
            return Ok(Load {
                unreadable,
                ..Load::default()
            });
        };
        let last = log.sent_chunks.checked_sub(1);
        let last = last.map(|last| LogChunk::id_of(&id, last));
        let (chunks, unreadable) =
            rows.sorted_children::<LogChunk>(&id, last.as_deref(), CHUNKS)?;
        let passed = unreadable.iter();
        let numbers = passed.filter_map(|row| LogChunk::number_of(&row.id));
        let numbers = chunks.iter().map(|row| row.record.number).chain(numbers);
        let is_any = !(chunks.is_empty() && unreadable.is_empty());
        let end = numbers.max().map_or(log.sent_chunks + 1, |last| last + 1);
        let lines = chunks.into_iter().flat_map(|chunk| chunk.record.lines);
        Ok(Load {
            lines: lines.collect(),
            end: is_any.then_some(end),
            unreadable,
        })
    };
    store.read(load).await
}

/// The rows of the log before `end` are sent.
pub(super) async fn advance(store: &Store, id: &str, end: u64) -> Result<(), StoreError> {
    let id = id.to_owned();
    let advance = move |rows: &Transaction<'_>| {
        let Some(mut log) = rows.get::<ExecutionLog>(&id)? else {
            return Ok(());
        };
        log.record.sent_chunks = end;
        let is_all = end >= log.record.chunks;
        rows.update(&log)?;
        if is_all {
            return crate::cloudwatch::forget(rows, &[id]);
        }
        let shipment = rows.get::<LogShipment>(&id)?;
        match shipment.filter(|row| row.record.failure.is_some()) {
            Some(mut row) => {
                row.record.failure = None;
                rows.update(&row)
            }
            None => Ok(()),
        }
    };
    store.commit(advance).await
}

/// Keeps why the log with this id cannot be sent.
pub(super) async fn note_failure(store: &Store, id: &str, text: String) -> Result<(), StoreError> {
    let id = id.to_owned();
    let note = move |rows: &Transaction<'_>| match rows.get::<LogShipment>(&id)? {
        Some(mut row) => {
            row.record.failure = Some(text);
            rows.update(&row)
        }
        None => Ok(()),
    };
    store.commit(note).await
}
