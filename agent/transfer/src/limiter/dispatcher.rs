//! The one task that waits for the bucket.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datasync_model::BytesPerSecond;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use super::bucket::Bucket;
use super::queue::FairQueue;
use super::shared::Account;
use super::{Ledger, slice_max};

/// Requests that wait in the fair queue; more wait in the channel.
const WAITING_MAX: usize = 4096;

/// A stream asks for bytes.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) stream: u64,
    pub(super) bytes: u64,
    pub(super) reply: oneshot::Sender<Paid>,
}

/// Bytes that were paid for; given back if nobody takes them.
#[derive(Debug)]
pub(super) struct Paid {
    bytes: u64,
    is_paid: bool,
    is_taken: bool,
    ledger: Arc<Ledger>,
}

impl Paid {
    /// Takes the bytes; gives how many they are.
    pub(super) fn take(mut self) -> u64 {
        self.is_taken = true;
        self.ledger.granted.fetch_add(self.bytes, Ordering::Relaxed);
        self.bytes
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        if self.is_paid && !self.is_taken {
            self.ledger
                .returned
                .fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

pub(super) struct Dispatcher {
    rate: watch::Receiver<BytesPerSecond>,
    /// Whether the rate can still change.
    is_rate_open: bool,
    requests: mpsc::Receiver<Request>,
    queue: FairQueue<Request>,
    /// The bucket and the rate that it is for.
    current: BytesPerSecond,
    bucket: Option<Bucket>,
    /// Bytes taken from the bucket and not yet given out.
    credit: u64,
    /// What a rate that others use too has for this one.
    shared: Option<Account>,
    ledger: Arc<Ledger>,
}

enum Event {
    Request(Option<Request>),
    Rate(bool),
    Waited,
}

impl Dispatcher {
    pub(super) fn new(
        rate: watch::Receiver<BytesPerSecond>,
        shared: Option<Account>,
        requests: mpsc::Receiver<Request>,
        ledger: Arc<Ledger>,
    ) -> Self {
        let current = *rate.borrow();
        Self {
            rate,
            is_rate_open: true,
            requests,
            queue: FairQueue::default(),
            current,
            bucket: current.limit().map(Bucket::full),
            credit: 0,
            shared,
            ledger,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            while self.queue.len() < WAITING_MAX
                && let Ok(request) = self.requests.try_recv()
            {
                self.enqueue(request);
            }
            let slice = slice_max(*self.rate.borrow());
            let is_wanted = |request: &Request| !request.reply.is_closed();
            if let Some(request) = self.queue.pop(slice, is_wanted) {
                self.serve(request).await;
                // Whoever was served asks again before the next one is chosen.
                tokio::task::yield_now().await;
                continue;
            }
            let event = tokio::select! { biased;
                changed = self.rate.changed(), if self.is_rate_open => Event::Rate(changed.is_ok()),
                request = self.requests.recv() => Event::Request(request),
            };
            match event {
                Event::Request(Some(request)) => self.enqueue(request),
                Event::Request(None) => return,
                Event::Rate(is_open) => self.is_rate_open = is_open,
                Event::Waited => {}
            }
        }
    }

    fn enqueue(&mut self, request: Request) {
        self.queue.push(request.stream, request.bytes, request);
    }

    /// Pays for a request and grants it, unless it is dropped meanwhile. What was asked for at a
    /// higher rate is cut to a slice of the present one.
    async fn serve(&mut self, mut request: Request) {
        loop {
            self.follow_rate();
            self.reclaim();
            let wanted = request.bytes.min(slice_max(self.current));
            if let Some(bucket) = &self.bucket
                && self.credit < wanted
            {
                match bucket.take(wanted - self.credit) {
                    Ok(bytes) => self.credit += bytes,
                    Err(wait) => {
                        if !self.wait(wait, &mut request).await {
                            self.credit = self.credit.min(self.burst());
                            return;
                        }
                    }
                }
                continue;
            }
            let paid = self.pay_shared(wanted, &mut request).await;
            let Some(bytes) = paid else {
                self.credit = self.credit.min(self.burst());
                return;
            };
            self.credit = self.credit.saturating_sub(bytes);
            return self.give(request, bytes);
        }
    }

    /// Pays from the shared rate too, for up to `wanted` bytes; `None` if the request was dropped.
    async fn pay_shared(&mut self, wanted: u64, request: &mut Request) -> Option<u64> {
        let Some(shared) = &mut self.shared else {
            return Some(wanted);
        };
        tokio::select! { biased;
            () = request.reply.closed() => None,
            paid = shared.pay(wanted) => Some(paid),
        }
    }

    /// Waits for the bucket or a new rate; `false` if the request was dropped.
    async fn wait(&mut self, wait: Duration, request: &mut Request) -> bool {
        let has_room = self.queue.len() < WAITING_MAX;
        let event = tokio::select! { biased;
            () = request.reply.closed() => return false,
            changed = self.rate.changed(), if self.is_rate_open => Event::Rate(changed.is_ok()),
            Some(other) = self.requests.recv(), if has_room => Event::Request(Some(other)),
            () = sleep(wait) => Event::Waited,
        };
        match event {
            Event::Request(Some(other)) => self.enqueue(other),
            Event::Rate(is_open) => self.is_rate_open = is_open,
            Event::Request(None) | Event::Waited => {}
        }
        true
    }

    fn follow_rate(&mut self) {
        let rate = *self.rate.borrow_and_update();
        if rate != self.current {
            self.current = rate;
            self.bucket = rate.limit().map(Bucket::empty);
            self.credit = self.credit.min(slice_max(rate));
        }
    }

    /// Takes back what was paid for and not taken, up to a burst.
    fn reclaim(&mut self) {
        let returned = self.ledger.returned.swap(0, Ordering::Relaxed);
        if returned > 0 {
            if let Some(shared) = &mut self.shared {
                shared.give_back(returned);
            }
            self.credit = self.credit.max((self.credit + returned).min(self.burst()));
        }
    }

    fn burst(&self) -> u64 {
        self.bucket.as_ref().map_or(0, Bucket::burst_bytes)
    }

    fn give(&self, request: Request, bytes: u64) {
        let ledger = Arc::clone(&self.ledger);
        let is_paid = self.bucket.is_some() || self.shared.is_some();
        let paid = Paid {
            bytes,
            is_paid,
            is_taken: false,
            ledger,
        };
        // What cannot be delivered gives itself back.
        drop(request.reply.send(paid));
    }
}
