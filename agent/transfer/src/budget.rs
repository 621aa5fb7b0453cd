//! The byte budget: memory is reserved before it is filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes that may be reserved at once.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    total: u64,
    /// One permit per byte; tokio's semaphore is first come, first served.
    free: Semaphore,
    reserved: AtomicU64,
}

/// A reservation that can never be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} bytes were to be reserved at once of a memory budget of {total}: raise the memory target"
)]
pub(crate) struct BudgetError {
    wanted: u64,
    total: u64,
}

impl Budget {
    /// A budget of `bytes`; at most 2 GiB are used, since no part is larger.
    pub(crate) fn new(bytes: u64) -> Self {
        let total = bytes
            .min(u64::from(u32::MAX / 2))
            .min(Semaphore::MAX_PERMITS as u64);
        let free = Semaphore::new(usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS));
        Self(Arc::new(Pool {
            total,
            free,
            reserved: AtomicU64::new(0),
        }))
    }

    /// Waits until `bytes` are free; requests are met in the order in which they came.
    ///
    /// Cancel-safe: a request that is dropped reserves nothing.
    ///
    /// # Errors
    /// If the whole budget is smaller.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<Reservation, BudgetError> {
        let error = BudgetError {
            wanted: bytes,
            total: self.0.total,
        };
        if bytes > self.0.total {
            return Err(error);
        }
        let count = u32::try_from(bytes).map_err(|_| error)?;
        let permits = self.0.free.acquire_many(count).await.map_err(|_| error)?;
        SemaphorePermit::forget(permits);
        let before = self.0.reserved.fetch_add(bytes, Ordering::AcqRel);
        debug_assert!(
            before + bytes <= self.0.total,
            "I3: more is reserved than there is"
        );
        Ok(Reservation {
            pool: Arc::clone(&self.0),
            bytes,
        })
    }

    /// Bytes that may be reserved at once.
    pub(crate) fn total(&self) -> u64 {
        self.0.total
    }

    /// Bytes that are reserved now.
    #[cfg(test)]
    fn reserved(&self) -> u64 {
        self.0.reserved.load(Ordering::Acquire)
    }
}

/// Bytes of a budget; given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    pool: Arc<Pool>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // First the count, then the permits: the count never exceeds the budget.
        self.pool.reserved.fetch_sub(self.bytes, Ordering::AcqRel);
        self.pool
            .free
            .add_permits(usize::try_from(self.bytes).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::task::JoinSet;
    use tokio::time::sleep;

    #[tokio::test]
    async fn more_than_the_budget_is_refused() {
        let budget = Budget::new(10);
        let error = budget.reserve(11).await.unwrap_err();
        assert!(error.to_string().contains("11 bytes"), "{error}");
        assert_eq!(budget.reserve(10).await.unwrap().bytes, 10);
        assert_eq!(budget.reserved(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_is_not_overtaken() {
        let budget = Budget::new(10);
        let first = budget.reserve(8).await.unwrap();
        let mut large = Box::pin(budget.reserve(9));
        assert!(futures::poll!(&mut large).is_pending());
        let mut small = Box::pin(budget.reserve(1));
        assert!(futures::poll!(&mut small).is_pending());
        drop(first);
        let large = large.await.unwrap();
        assert_eq!(small.await.unwrap().bytes + large.bytes, 10);
    }

    #[tokio::test]
    async fn a_dropped_request_reserves_nothing() {
        let budget = Budget::new(10);
        let held = budget.reserve(10).await.unwrap();
        let mut waiting = Box::pin(budget.reserve(5));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        drop(held);
        assert_eq!(budget.reserve(10).await.unwrap().bytes, 10);
    }

    proptest! {
        /// I3.
        #[test]
        fn reserved_bytes_stay_in_the_budget_and_are_zero_at_rest(
            total in 1u64..1000,
            requests in proptest::collection::vec((0u64..1000, 0u64..20), 1..40),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let budget = Budget::new(total);
                let mut tasks = JoinSet::new();
                for (bytes, wait) in requests {
                    let budget = budget.clone();
                    tasks.spawn(async move {
                        let reserved = budget.reserve(bytes).await;
                        assert_eq!(reserved.is_ok(), bytes <= total);
                        assert!(budget.reserved() <= total);
                        sleep(Duration::from_millis(wait)).await;
                        drop(reserved);
                        assert!(budget.reserved() <= total);
                    });
                }
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
                assert_eq!(budget.reserved(), 0);
            });
        }
    }
}
