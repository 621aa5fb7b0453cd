//! A rate that all executions of an agent share, on top of their own.

use std::sync::Arc;

use datasync_endpoint::Pace;
use datasync_model::BytesPerSecond;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Limiter, Stream};

/// A limit for all executions together, in bytes of request bodies per second. Executions that want
/// more than it gives get the same of it. Clones are the same limit.
#[derive(Debug, Clone)]
pub struct SharedRate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limiter: Limiter,
    rate: BytesPerSecond,
    _dispatcher: JoinSet<()>,
}

impl SharedRate {
    /// Starts the limit. Must be called in a tokio runtime; the task ends with the last clone.
    #[must_use]
    pub fn start(rate: BytesPerSecond) -> Self {
        let mut dispatcher = JoinSet::new();
        let (_, fixed) = watch::channel(rate);
        let limiter = Limiter::start(fixed, None, &mut dispatcher);
        Self(Arc::new(Shared {
            limiter,
            rate,
            _dispatcher: dispatcher,
        }))
    }

    pub(super) fn rate(&self) -> BytesPerSecond {
        self.0.rate
    }

    /// The account of one more execution.
    pub(super) fn account(&self) -> Account {
        Account {
            stream: self.0.limiter.stream(u64::MAX),
            prepaid: 0,
        }
    }
}

/// What one execution gets of the shared rate: always whole slices, so that executions are served
/// alike whatever their bodies are.
#[derive(Debug)]
pub(super) struct Account {
    stream: Arc<Stream>,
    /// Bytes of a slice that are not used yet.
    prepaid: u64,
}

impl Account {
    /// Pays for bytes, from 1 to `wanted`; gives how many. Cancel-safe: what is dropped is not
    /// charged.
    pub(super) async fn pay(&mut self, wanted: u64) -> u64 {
        if self.prepaid == 0 {
            let slice = self.stream.slice_max();
            let granted = match Arc::clone(&self.stream).grant(slice) {
                Some(grant) => grant.await,
                None => slice,
            };
            self.prepaid = granted as u64;
        }
        let paid = wanted.min(self.prepaid);
        self.prepaid -= paid;
        paid
    }

    /// Takes back bytes that were paid for and not used, at most a slice of them.
    pub(super) fn give_back(&mut self, bytes: u64) {
        let slice = self.stream.slice_max() as u64;
        self.prepaid = self.prepaid.max((self.prepaid + bytes).min(slice));
    }
}
