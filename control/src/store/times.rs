//! How long callers wait for the store, its queue included.

use std::time::Instant;

use datasync_telemetry::Histogram;

/// Counted since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Transactions that only read.
    pub(crate) read: Waited,
    /// Transactions that may write, with their commit.
    pub(crate) written: Waited,
}

/// Of one kind of transaction.
#[derive(Debug, Default)]
pub(crate) struct Waited(pub(crate) Histogram);

impl Waited {
    /// Counts the time of `transaction`; one that is not waited for to its end does not count.
    pub(super) async fn during<T>(&self, transaction: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let answer = transaction.await;
        self.0.observe(began.elapsed());
        answer
    }
}
