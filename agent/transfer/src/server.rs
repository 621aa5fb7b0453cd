//! A server, and what it is asked to bear: requests in flight, requests per second, and none at all
//! while it answers with nothing but errors.

mod breaker;
mod calls;
mod gate;
mod operations;
mod queue;
mod spared;
mod window;

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datasync_endpoint::{EndpointError, ErrorKind, Pace};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use breaker::{Answer, Breaker, Verdict};
use gate::{Gate, Turn};
use operations::Operations;
use queue::Weight;
use window::Sign;

use crate::waits::{Wait, Waits};

pub(crate) use calls::Calls;
pub(crate) use spared::Spared;

/// A request waits so long for a server that is left alone, then it counts as not answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server is asked to bear at most. Within it, requests in flight follow what the server
/// sustains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerLimits {
    /// Requests in flight at the same time that move content or concern one item; at least 1.
    /// `None`: 256 small ones and 64 of more than 256 KiB. Listings, and the begin and end of multipart
    /// uploads, come on top, a few at a time.
    pub in_flight_max: Option<usize>,
    /// Requests of any kind that begin in a second; `None`: no limit.
    pub operations_per_second: Option<NonZeroU32>,
}

/// A server as the executions see that use it. Clones share everything: an agent has one value for
/// each server, so that all of its executions together spare it.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    gate: Arc<Gate>,
    operations: Option<Operations>,
    breaker: Mutex<Breaker>,
    breaker_changed: Notify,
    executions: AtomicU64,
}

impl Default for Server {
    fn default() -> Self {
        Self::new("server", ServerLimits::default())
    }
}

impl Server {
    /// A server of which nothing is known yet; `name` is for messages.
    #[must_use]
    pub fn new(name: impl Into<String>, limits: ServerLimits) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            gate: Gate::new(limits.in_flight_max.unwrap_or(usize::MAX)),
            operations: limits.operations_per_second.map(Operations::new),
            breaker: Mutex::default(),
            breaker_changed: Notify::new(),
            executions: AtomicU64::new(0),
        }))
    }

    /// Whether anybody has another clone.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Whether both are clones of the same value.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Requests in flight that have a place; those that have none are few.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.gate.in_flight()
    }

    /// Whether it has asked lately for fewer requests, or did not answer.
    pub(crate) fn was_refused(&self) -> bool {
        self.0.gate.was_refused(Instant::now())
    }

    /// One more execution that uses the server.
    fn join(&self, waits: Arc<Waits>) -> Access {
        let execution = self.0.executions.fetch_add(1, Ordering::Relaxed);
        Access {
            server: self.clone(),
            execution,
            calls: Arc::default(),
            waits,
        }
    }
}

/// One execution's way to a server.
#[derive(Debug)]
pub(crate) struct Access {
    server: Server,
    execution: u64,
    calls: Arc<Calls>,
    waits: Arc<Waits>,
}

/// A request that may be made.
struct Admitted<'a> {
    turn: Option<Turn>,
    pass: Pass<'a>,
    at: Instant,
    /// For its turn; the time for which the server was left alone is the server's.
    waited: Duration,
}

/// Which request is made.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    /// Bytes of content that it moves. `None` for listings and the begin and end of uploads: they
    /// are few, take their own time, and wait for no window.
    bytes: Option<u64>,
    operation: &'static str,
    /// What may hold its body back.
    pace: Option<&'a dyn Pace>,
}

impl Request<'_> {
    fn held(&self) -> Duration {
        self.pace.map(Pace::held).unwrap_or_default()
    }
}

impl Access {
    /// The same execution's way for another view of the server.
    fn again(&self) -> Self {
        Self {
            server: self.server.clone(),
            execution: self.execution,
            calls: Arc::clone(&self.calls),
            waits: Arc::clone(&self.waits),
        }
    }

    /// Makes a request when the server can bear it.
    async fn ask<T, F>(
        &self,
        request: Request<'_>,
        call: impl FnOnce() -> F,
    ) -> Result<T, EndpointError>
    where
        F: Future<Output = Result<T, EndpointError>>,
    {
        let overloaded =
            |result: &Result<T, EndpointError>| result.as_ref().err().and_then(Overload::of);
        let (answer, held) = self.make(request, call, overloaded).await?;
        answer.map_err(|error| error.held_for(held))
    }

    /// As [`Access::ask`], for a call of any answer: `overloaded` looks whether it tells that the
    /// server has too much to do. Gives, too, how long the call waited for its turn and its body was
    /// held back.
    async fn make<F: Future>(
        &self,
        request: Request<'_>,
        call: impl FnOnce() -> F,
        overloaded: impl FnOnce(&F::Output) -> Option<Overload>,
    ) -> Result<(F::Output, Duration), NotSent> {
        let Admitted {
            turn,
            pass,
            at: admitted_at,
            waited,
        } = self.admitted(request).await?;
        if let Some(operations) = &self.server.0.operations {
            operations.begin().await;
        }
        let held_before = request.held();
        let sent_at = Instant::now();
        let open = self.calls.begin(request.operation);
        let answer = call().await;
        drop(open);
        let overload = overloaded(&answer);
        let held = request.held().saturating_sub(held_before);
        pass.end(overload == Some(Overload::NoWork));
        if overload.is_none() {
            self.calls.count_answer();
        }
        if let Some(turn) = turn {
            let sign = match overload {
                Some(_) => Sign::Throttled,
                None => Sign::Served,
            };
            turn.end(sent_at, held, request.bytes.unwrap_or_default(), sign);
        }
        let waited = waited + sent_at.saturating_duration_since(admitted_at);
        Ok((answer, waited + held))
    }

    /// A place among the requests in flight, and leave to ask at all. Who may not ask has no place
    /// and stands in no line, so that all who are to be refused are refused in time.
    async fn admitted(&self, request: Request<'_>) -> Result<Admitted<'_>, NotSent> {
        let shared = &self.server.0;
        let (mut waited, mut left_alone) = (Duration::ZERO, Duration::ZERO);
        loop {
            let asked_at = Instant::now();
            let turn = match request.bytes {
                Some(bytes) => Some(self.turn(bytes).await),
                None => None,
            };
            let changed = shared.breaker_changed.notified();
            let at = Instant::now();
            waited += at.saturating_duration_since(asked_at);
            let until = match shared.pass(at) {
                Ok(pass) => {
                    return Ok(Admitted {
                        turn,
                        pass,
                        at,
                        waited,
                    });
                }
                Err(until) => until,
            };
            drop(turn);
            let patience = at + PATIENCE.saturating_sub(left_alone);
            let waiting = async {
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(until.min(patience)) => {}
                }
            };
            self.waits.during(Wait::Throttled, waiting).await;
            left_alone += at.elapsed();
            if left_alone >= PATIENCE {
                return Err(NotSent {
                    operation: request.operation,
                    server: shared.name.clone(),
                    waited,
                });
            }
        }
    }

    async fn turn(&self, bytes: u64) -> Turn {
        let gate = &self.server.0.gate;
        gate.turn(self.execution, Weight::of(bytes)).await
    }
}

/// That a server has too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overload {
    /// It says so, and does other work meanwhile (503 SlowDown, JUKEBOX).
    Busy,
    /// It does not do anything.
    NoWork,
}

impl Overload {
    fn of(error: &EndpointError) -> Option<Self> {
        match error.kind {
            ErrorKind::Busy => Some(Self::Busy),
            ErrorKind::Timeout | ErrorKind::Unreachable | ErrorKind::ServerFault => {
                Some(Self::NoWork)
            }
            _ => None,
        }
    }
}

/// A request that was not made, since the server is left alone.
#[derive(Debug, Clone)]
struct NotSent {
    operation: &'static str,
    server: String,
    /// For a turn, before the server was left alone.
    waited: Duration,
}

impl From<NotSent> for EndpointError {
    fn from(not_sent: NotSent) -> Self {
        Self::new(
            ErrorKind::Timeout,
            not_sent.operation,
            not_sent.server,
            format!(
                "not sent: the server has answered nothing but errors; it was left alone for {} s",
                PATIENCE.as_secs()
            ),
        )
        .held_for(not_sent.waited)
    }
}

impl Shared {
    /// Leave to ask, or until when there is none unless something changes.
    fn pass(&self, now: Instant) -> Result<Pass<'_>, Instant> {
        match self.with_breaker(|breaker| breaker.ask(now)) {
            Verdict::Go => Ok(Pass::new(self, false)),
            Verdict::Probe => Ok(Pass::new(self, true)),
            Verdict::WaitUntil(until) => Err(until),
        }
    }

    fn with_breaker<T>(&self, edit: impl FnOnce(&mut Breaker) -> T) -> T {
        edit(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The breaker's permission for one request.
#[derive(Debug)]
struct Pass<'a> {
    shared: &'a Shared,
    is_probe: bool,
    answer: Answer,
}

impl<'a> Pass<'a> {
    fn new(shared: &'a Shared, is_probe: bool) -> Self {
        Self {
            shared,
            is_probe,
            answer: Answer::Unknown,
        }
    }

    fn end(mut self, failed: bool) {
        self.answer = if failed {
            Answer::Failed
        } else {
            Answer::Sound
        };
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let (is_probe, answer) = (self.is_probe, self.answer);
        let ended = |breaker: &mut Breaker| breaker.ended(Instant::now(), is_probe, answer);
        let pause = self
            .shared
            .with_breaker(|breaker| ended(breaker).then(|| breaker.pause()));
        let Some(pause) = pause else {
            return;
        };
        self.shared.breaker_changed.notify_waiters();
        let server = &self.shared.name;
        match pause {
            Some(pause) => tracing::warn!(
                server,
                ?pause,
                event = "server.avoided",
                "the server answers nothing but errors and is left alone"
            ),
            None => tracing::info!(
                server,
                event = "server.recovered",
                "the server serves again"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
