//! The bandwidth limiter as seen by whoever writes a request body.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Grants bytes of request bodies. One value per stream: grants are fair between streams.
pub trait Pace: Debug + Send + Sync {
    /// The largest grant that may be asked for at once, in bytes; at least 1. It changes with the
    /// rate: ask again before every slice.
    fn slice_max(&self) -> usize;

    /// Waits until `bytes` (at most [`Pace::slice_max`] as it was when asked) may be written;
    /// `None` means at once.
    ///
    /// Cancel-safe: a grant that is dropped before it resolves is not charged.
    fn grant(self: Arc<Self>, bytes: usize) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>;
}

/// No limit.
#[derive(Debug, Clone, Copy)]
pub struct Unpaced;

impl Pace for Unpaced {
    fn slice_max(&self) -> usize {
        usize::MAX
    }

    fn grant(self: Arc<Self>, _bytes: usize) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
    }
}
