//! The rate limit's grants, with the time that they take.

use std::sync::Arc;

use datasync_endpoint::{Grant, Pace};

use crate::limiter::Stream;
use crate::waits::{Wait, Waits};

/// A stream whose grants are counted among the waits.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) stream: Arc<Stream>,
    pub(super) waits: Arc<Waits>,
}

impl Pace for Counted {
    fn slice_max(&self) -> usize {
        self.stream.slice_max()
    }

    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant> {
        let grant = self.stream.clone().grant(bytes)?;
        Some(Box::pin(async move {
            self.waits.during(Wait::Grant, grant).await
        }))
    }
}
