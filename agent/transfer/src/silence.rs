//! Items in a row without an answer: one endpoint that is gone, not many items that failed.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::outcome::ItemFailure;

/// Counts items whose endpoint did not answer, each after all its retries.
#[derive(Debug)]
pub(crate) struct Silence {
    items: AtomicU32,
    items_max: u32,
}

impl Silence {
    /// So many in a row are one too many.
    pub(crate) fn new(items_max: u32) -> Self {
        Self {
            items: AtomicU32::new(0),
            items_max,
        }
    }

    /// An item was answered about.
    pub(crate) fn is_broken(&self) {
        self.items.store(0, Ordering::Relaxed);
    }

    /// Takes in a failure: the endpoint's, if it is one too many without an answer.
    pub(crate) fn judge(&self, failure: ItemFailure) -> ItemFailure {
        if !failure.is_silence() {
            return failure;
        }
        let items = self.items.fetch_add(1, Ordering::Relaxed) + 1;
        ItemFailure {
            endpoint_wide: failure.endpoint_wide || items >= self.items_max,
            ..failure
        }
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::ErrorCode;

    use super::*;

    #[test]
    fn only_items_in_a_row_that_were_not_answered_are_the_endpoints() {
        let silence = Silence::new(3);
        let unanswered = || ItemFailure::new(ErrorCode::SourceUnreachable, "");
        let refused = || ItemFailure::new(ErrorCode::SourcePermissionDenied, "");
        for _ in 0..2 {
            for _ in 0..2 {
                assert!(!silence.judge(unanswered()).endpoint_wide);
            }
            silence.is_broken();
        }
        for failure in [unanswered(), unanswered(), refused()] {
            assert!(!silence.judge(failure).endpoint_wide);
        }
        assert!(silence.judge(unanswered()).endpoint_wide);
    }
}
