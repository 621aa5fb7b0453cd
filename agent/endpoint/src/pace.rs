//! The bandwidth limiter as seen by whoever writes a request body.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Resolves to the number of bytes that may be written.
pub type Grant = Pin<Box<dyn Future<Output = usize> + Send>>;

/// Grants bytes of request bodies. One value per stream: grants are fair between streams.
pub trait Pace: Debug + Send + Sync {
    /// The largest grant that may be asked for at once, in bytes; at least 1. It changes with the
    /// rate: ask again before every slice.
    fn slice_max(&self) -> usize;

    /// Waits until bytes may be written; `None` means all of `bytes` at once. At least 1 and at
    /// most `bytes` are granted: fewer than asked for where the rate fell meanwhile, and the rest
    /// must be asked for again.
    ///
    /// Cancel-safe: a grant that is dropped before it resolves is not charged.
    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant>;

    /// How long grants of this stream were waited for so far, those that go on left out.
    fn held(&self) -> Duration {
        Duration::ZERO
    }
}

/// No limit.
#[derive(Debug, Clone, Copy)]
pub struct Unpaced;

impl Pace for Unpaced {
    fn slice_max(&self) -> usize {
        usize::MAX
    }

    fn grant(self: Arc<Self>, _bytes: usize) -> Option<Grant> {
        None
    }
}
