//! How often an execution that does not move is begun again. Pure.

use datasync_model::Counters;

/// So often in a row without anything done.
const AGAIN_MAX: u32 = 3;

/// Stalls without anything done between them.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    count: u32,
    done: Counters,
}

impl Stalls {
    /// Whether to begin again after a stall; `done` is what was done by then.
    pub(super) fn is_to_go_on(&mut self, counters: Counters) -> bool {
        let done = finished(&counters);
        if done != self.done {
            self.count = 0;
        }
        self.count += 1;
        self.done = done;
        self.count <= AGAIN_MAX
    }
}

/// What does not come undone: bytes that were sent do, with the body that they were part of.
fn finished(counters: &Counters) -> Counters {
    Counters {
        transferred: counters.transferred,
        unchanged: counters.unchanged,
        skipped: counters.skipped,
        failed: counters.failed,
        deleted: counters.deleted,
        verified: counters.verified,
        mismatched: counters.mismatched,
        ..Counters::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_begun_again_as_long_as_something_is_done_in_between() {
        let mut stalls = Stalls::default();
        let mut done = Counters::default();
        for transferred in 1..20 {
            done.transferred = transferred;
            assert!(stalls.is_to_go_on(done));
        }
        for sent in 1..=2 {
            done.bytes_transferred += sent;
            assert!(stalls.is_to_go_on(done));
        }
        done.bytes_transferred += 1;
        assert!(!stalls.is_to_go_on(done), "the same body again and again");
    }
}
