//! Rows of which there may be very many are looked at a few each round: from where the round before
//! ended, and from the beginning again after the last. Where there are few, every round sees all.

use crate::store::{PlaceInTime, Sorted};

/// Tasks that were never tried that a round looks at.
pub(super) const NEW_TASKS: usize = 100;
/// Tasks of each other readiness that a round looks at, once a second.
pub(super) const TRIED_TASKS: usize = 500;
/// Executions in the queue that a round looks at.
pub(super) const QUEUE: usize = 500;

/// After which rows the next look begins; `None` means at the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::fleet) struct Walk {
    pub(in crate::fleet) queue: Option<PlaceInTime>,
    pub(in crate::fleet) creating: Option<String>,
    pub(in crate::fleet) unavailable: Option<String>,
    pub(in crate::fleet) available: Option<String>,
}

/// The place of the last row of a look that was asked for `limit` of them; `None` after the end.
/// `readable` and `unreadable` say where a row is.
pub(super) fn goes_on<R, P: Ord>(
    (rows, apart): &Sorted<R>,
    limit: usize,
    readable: impl Fn(&R) -> P,
    unreadable: impl Fn(&crate::store::Unreadable) -> P,
) -> Option<P> {
    if rows.len() + apart.len() < limit {
        return None;
    }
    let rows = rows.last().map(|row| readable(&row.record));
    rows.max(apart.last().map(unreadable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture;
    use crate::store::{Unreadable, Versioned};

    #[test]
    fn a_look_goes_on_after_its_last_row_even_if_that_cannot_be_read() {
        let task = |number| Versioned {
            version: 1,
            record: fixture::task_row(number, None),
        };
        let broken = |id: &str| Unreadable::new("task", id.to_owned(), String::new());
        let after = |rows: &Sorted<_>, limit| {
            let id = |task: &crate::records::Task| task.arn.id().to_owned();
            goes_on(rows, limit, id, |row| row.id.clone())
        };
        let rows = (vec![task(1), task(2)], vec![broken("task-")]);
        let last = rows.0[1].record.arn.id().to_owned();
        assert_eq!(after(&rows, 4), None, "that was all");
        assert_eq!(after(&rows, 3), Some(last));
        let rows = (vec![task(1)], vec![broken("task-~")]);
        assert_eq!(after(&rows, 2).unwrap(), "task-~");
        assert_eq!(after(&(Vec::new(), Vec::new()), 1), None);
    }
}
