//! How many requests a server is given at once. Pure.
//!
//! The window goes where it pays: a step is tried, and kept if the throughput moves with it by more
//! than a fifth of it. Beyond what the server does at once a larger window only adds latency, so it
//! is not kept, and a smaller one is. A server that asks to be spared is given half. While it is a
//! rate limit that holds requests up, a smaller window would not show it: none is tried.

use std::time::Duration;

use tokio::time::Instant;

/// The share of a step by which the throughput must move for a larger window to be worth it.
const WORTH: f64 = 0.2;
/// A window that is used less than this share says nothing of the server.
const USED: f64 = 0.75;
/// Requests that are held back for more than this share of their time show the rate limit.
const HELD: f64 = 0.125;
/// Shorter measurements show the scheduler, not the server.
const MEASURED_MIN: Duration = Duration::from_millis(50);
/// How often a measurement sees every place of the window.
const ROUNDS: usize = 4;
/// Answers that a measurement needs at least.
const ANSWERS_MIN: usize = 32;
/// Measurements between two trials at most: one after a trial that paid, and twice as many after
/// each that did not.
const RESTS_MAX: u32 = 8;
/// How long the size that was too much is approached with care.
const CARE: Duration = Duration::from_secs(60);
/// How long a refusal is told of.
const LATELY: Duration = Duration::from_secs(30);
/// With care the ceiling is so many steps away.
const CAREFUL_STEPS: usize = 64;

/// Between what a window moves, in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) floor: usize,
    pub(super) start: usize,
    pub(super) ceiling: usize,
}

/// What an answer says of the server's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It can do this much.
    Served,
    /// It wants less, or did not answer.
    Throttled,
}

/// A request that ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// When it was sent.
    pub(super) sent_at: Instant,
    /// For how long of the time since then its body was held back by a rate limit.
    pub(super) held: Duration,
    /// What it moved, in the unit of its window: requests or bytes.
    pub(super) amount: u64,
    pub(super) sign: Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    fn other(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// A size and the throughput that it had, per second.
#[derive(Debug, Clone, Copy)]
struct Measured {
    size: usize,
    rate: f64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Doubles while it pays.
    Start { before: Option<Measured> },
    /// Measures the present size so many times more; then tries this direction.
    Rest { next: Direction, more: u32 },
    /// Measures a size that is tried.
    Trial {
        direction: Direction,
        before: Measured,
    },
}

/// What is measured of the present size.
#[derive(Debug)]
struct Epoch {
    /// Answers to requests that were sent under the size before.
    skipped: usize,
    since: Instant,
    answers: usize,
    amount: u64,
    in_flight: Duration,
    held: Duration,
}

impl Epoch {
    fn beginning(now: Instant) -> Self {
        Self {
            skipped: 0,
            since: now,
            answers: 0,
            amount: 0,
            in_flight: Duration::ZERO,
            held: Duration::ZERO,
        }
    }
}

/// The number of requests that may be in flight.
#[derive(Debug)]
pub(super) struct Window {
    bounds: Bounds,
    size: usize,
    phase: Phase,
    epoch: Epoch,
    /// Measurements before the next trial.
    rests: u32,
    /// The size that the server refused, and when.
    refused: Option<(usize, Instant)>,
}

impl Window {
    pub(super) fn new(bounds: Bounds, now: Instant) -> Self {
        let ceiling = bounds.ceiling.max(1);
        let floor = bounds.floor.clamp(1, ceiling);
        let bounds = Bounds {
            floor,
            start: bounds.start.clamp(floor, ceiling),
            ceiling,
        };
        Self {
            bounds,
            size: bounds.start,
            phase: Phase::Start { before: None },
            epoch: Epoch::beginning(now),
            rests: 1,
            refused: None,
        }
    }

    /// Requests that may be in flight now; from floor to ceiling.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the window was cut lately.
    pub(super) fn was_refused(&self, now: Instant) -> bool {
        self.refused
            .is_some_and(|(_, at)| now.saturating_duration_since(at) <= LATELY)
    }

    /// Takes in a request that ended.
    pub(super) fn ended(&mut self, now: Instant, ended: Ended) {
        if ended.sign == Sign::Throttled {
            self.cut(now, ended.sent_at);
            return;
        }
        if self.epoch.skipped < self.size {
            self.epoch.skipped += 1;
            self.epoch.since = now;
            return;
        }
        let since = self.epoch.since;
        self.epoch.answers += 1;
        self.epoch.amount = self.epoch.amount.saturating_add(ended.amount);
        self.epoch.in_flight += now.saturating_duration_since(ended.sent_at);
        self.epoch.held += ended.held;
        let lasted = now.saturating_duration_since(since);
        if self.epoch.answers >= (ROUNDS * self.size).max(ANSWERS_MIN) && lasted >= MEASURED_MIN {
            self.judge(now, lasted);
        }
    }

    /// Once for all requests that were in flight together.
    fn cut(&mut self, now: Instant, sent_at: Instant) {
        if self.refused.is_some_and(|(_, at)| sent_at < at) {
            return;
        }
        self.refused = Some((self.size, now));
        self.rests = 1;
        self.rest(now, self.size / 2, Direction::Up);
    }

    fn resize(&mut self, now: Instant, size: usize) {
        self.size = size.clamp(self.bounds.floor, self.bounds.ceiling);
        self.epoch = Epoch::beginning(now);
    }

    fn judge(&mut self, now: Instant, lasted: Duration) {
        let in_flight = self.epoch.in_flight.as_secs_f64();
        let is_held = self.epoch.held.as_secs_f64() > HELD * in_flight;
        let used = in_flight / lasted.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let (size, amount) = (self.size as f64, self.epoch.amount as f64);
        let is_used = used >= USED * size;
        let measured = Measured {
            size: self.size,
            rate: amount / lasted.as_secs_f64(),
        };
        match self.phase {
            Phase::Trial { before, .. } if !is_used => {
                self.rest(now, before.size, Direction::Up);
            }
            _ if !is_used => self.epoch = Epoch::beginning(now),
            Phase::Start { before } => self.go_on_doubling(now, before, measured),
            Phase::Rest { more: 0, .. } if is_held => self.try_step(now, Direction::Up, measured),
            Phase::Rest { next, more: 0 } => self.try_step(now, next, measured),
            Phase::Rest { next, more } => {
                let more = more - 1;
                self.phase = Phase::Rest { next, more };
                self.epoch = Epoch::beginning(now);
            }
            Phase::Trial {
                direction: Direction::Down,
                before,
            } if is_held => self.rest(now, before.size, Direction::Up),
            Phase::Trial { direction, before } if pays(before, measured) => {
                self.rests = 1;
                self.try_step(now, direction, measured);
            }
            Phase::Trial { direction, before } => {
                self.rests = (2 * self.rests).min(RESTS_MAX);
                self.rest(now, before.size, direction.other());
            }
        }
    }

    fn go_on_doubling(&mut self, now: Instant, before: Option<Measured>, measured: Measured) {
        match before {
            Some(before) if !pays(before, measured) => {
                self.rest(now, before.size, Direction::Down);
            }
            _ if self.size == self.bounds.ceiling => self.rest(now, self.size, Direction::Down),
            _ => {
                let before = Some(measured);
                self.phase = Phase::Start { before };
                self.resize(now, 2 * self.size);
            }
        }
    }

    fn rest(&mut self, now: Instant, size: usize, next: Direction) {
        let more = self.rests - 1;
        self.phase = Phase::Rest { next, more };
        self.resize(now, size);
    }

    fn try_step(&mut self, now: Instant, direction: Direction, before: Measured) {
        let size = match direction {
            Direction::Up => self.larger(now),
            Direction::Down => self.size - (self.size / 3).max(1),
        };
        let size = size.clamp(self.bounds.floor, self.bounds.ceiling);
        if size == self.size {
            self.rest(now, size, direction.other());
        } else {
            self.phase = Phase::Trial { direction, before };
            self.resize(now, size);
        }
    }

    /// Half as much more; less on the way to what was too much a while ago.
    fn larger(&self, now: Instant) -> usize {
        let step = (self.size / 2).max(1);
        let is_careful = self.refused.is_some_and(|(refused, at)| {
            self.size <= refused && now.saturating_duration_since(at) <= CARE
        });
        if is_careful {
            self.size + step.min((self.bounds.ceiling / CAREFUL_STEPS).max(1))
        } else {
            self.size + step
        }
    }
}

/// Whether a size is to be kept in place of the one before.
fn pays(before: Measured, tried: Measured) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "windows are small")]
    let step = tried.size as f64 / before.size as f64 - 1.0;
    tried.rate >= before.rate * (1.0 + WORTH * step)
}

#[cfg(test)]
mod tests;
