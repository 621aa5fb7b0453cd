//! When a transfer ends: a band, from what was done so far. Pure; time is passed in.
//!
//! The time that is left costs `a` for each item and `b` for each byte, neither of which is known. The
//! time that is over cost the same, so that what is left takes between the time by items and the
//! time by bytes, whatever the mixture. The band is these two, wider by how much the rate varied.

use std::time::Duration;

use datasync_model::TimeLeft;

/// Of items or bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) done: u64,
    /// Known to be done in all, what is done included.
    pub(crate) known: u64,
}

/// What is known at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Since the first look.
    pub(crate) at: Duration,
    pub(crate) items: Amount,
    pub(crate) bytes: Amount,
    /// Entries of the source met, whether or not there is anything to do about them.
    pub(crate) met: u64,
    /// Whether all entries were met.
    pub(crate) is_scanned: bool,
    /// Entries that there were the last time; `None` if nobody knows.
    pub(crate) expected: Option<u64>,
}

/// Marks kept of the way so far.
const MARKS_MAX: usize = 32;
/// The least time that says anything.
const LEARNED: Duration = Duration::from_secs(2);
/// How much slower or faster than all along the rest may be, where nothing but steadiness was seen.
const STEADY: f64 = 1.2;
/// What was not met yet may hold so many times what its share would be, or that part of it.
const UNSEEN: f64 = 2.0;

/// Remembers the way so far, in bounded space.
#[derive(Debug, Clone, Default)]
pub(crate) struct Estimator {
    /// The first is where it began; their distance in time doubles when there are too many.
    marks: Vec<Look>,
    apart: Duration,
}

impl Estimator {
    /// Takes in what is known now. What was done before the first look counts as given.
    pub(crate) fn look(&mut self, now: Look) {
        let due = self
            .marks
            .last()
            .is_none_or(|last| now.at >= last.at + self.apart);
        if !due {
            return;
        }
        self.marks.push(now);
        if self.marks.len() > MARKS_MAX {
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.apart = (self.apart * 2).max(now.at / u32::try_from(MARKS_MAX).unwrap_or(1));
        }
    }

    /// The time left at `now`; `None` as long as too little was done to tell.
    pub(crate) fn time_left(&self, now: Look) -> Option<TimeLeft> {
        let first = self.marks.first()?;
        let spent = now.at.saturating_sub(first.at);
        if spent < LEARNED {
            return None;
        }
        let rest = Rest::of(first, &now);
        if rest.is_nothing() {
            return Some(TimeLeft {
                low_ms: 0,
                likely_ms: 0,
                high_ms: now.is_scanned.then_some(0),
            });
        }
        let by_known = rest.turns(rest.known)?;
        let by_likely = rest.turns(rest.likely)?;
        let by_high = rest.high.and_then(|high| rest.turns(high));
        let doubt = self.doubt(&now);
        let milliseconds = |turns: f64| (spent.as_secs_f64() * 1000.0 * turns) as u64;
        let middle = |(low, high): (f64, f64)| (low * high).sqrt();
        Some(TimeLeft {
            low_ms: milliseconds(by_known.0 / doubt),
            likely_ms: milliseconds(middle(by_likely)),
            high_ms: by_high.map(|(_, high)| milliseconds(high * doubt)),
        })
    }

    /// By which factor the rate of the rest may differ from that of the way so far.
    fn doubt(&self, now: &Look) -> f64 {
        let rates = self.rates(now);
        let count = rates.len() as f64;
        if count < 4.0 {
            return STEADY * STEADY;
        }
        let mean = rates.iter().sum::<f64>() / count;
        let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
        let spread = if mean > 0.0 {
            variance.sqrt() / mean
        } else {
            1.0
        };
        let share_left = 1.0 - share(now.bytes).max(share(now.items)).min(1.0);
        1.0 + (STEADY - 1.0 + spread / 2.0) * share_left.sqrt()
    }

    /// Progress per second, stretch by stretch of about an eighth of the time.
    fn rates(&self, now: &Look) -> Vec<f64> {
        let Some(first) = self.marks.first() else {
            return Vec::new();
        };
        let stretch = now.at.saturating_sub(first.at) / 8;
        let mut rates = Vec::new();
        let mut from = first;
        for mark in self.marks.iter().skip(1) {
            let time = mark.at.saturating_sub(from.at);
            if time >= stretch && !time.is_zero() {
                let gained = progress(from, mark, now);
                rates.push(gained / time.as_secs_f64());
                from = mark;
            }
        }
        rates
    }
}

/// What is left, in turns: one turn is as much as was done since the first look.
struct Rest {
    done: (f64, f64),
    known: (f64, f64),
    likely: (f64, f64),
    high: Option<(f64, f64)>,
}

impl Rest {
    fn of(first: &Look, now: &Look) -> Self {
        let since = |now: u64, before: u64| now.saturating_sub(before) as f64;
        let done = (
            since(now.items.done, first.items.done),
            since(now.bytes.done, first.bytes.done),
        );
        let left = |amount: Amount| amount.known.saturating_sub(amount.done) as f64;
        let known = (left(now.items), left(now.bytes));
        if now.is_scanned {
            return Self {
                done,
                known,
                likely: known,
                high: Some(known),
            };
        }
        let Some(expected) = now.expected.filter(|expected| *expected > 0) else {
            return Self {
                done,
                known,
                likely: known,
                high: None,
            };
        };
        // Another twentieth of entries may have been added since the last time.
        let unmet = |entries: f64| (entries - now.met as f64).max(0.0) / (now.met as f64).max(1.0);
        let likely = unmet(expected as f64);
        let with = |share: f64| {
            (
                known.0 + share * now.items.known as f64,
                known.1 + share * now.bytes.known as f64,
            )
        };
        Self {
            done,
            known: with(likely / UNSEEN),
            likely: with(likely),
            high: Some(with(unmet(expected as f64 * 1.05) * UNSEEN)),
        }
    }

    fn is_nothing(&self) -> bool {
        self.likely == (0.0, 0.0)
    }

    /// The fewest and the most turns that a rest takes; `None` if nothing like it was done yet.
    fn turns(&self, rest: (f64, f64)) -> Option<(f64, f64)> {
        let of = |rest: f64, done: f64| (done > 0.0).then_some(rest / done);
        match (of(rest.0, self.done.0), of(rest.1, self.done.1)) {
            (Some(items), Some(bytes)) => Some((items.min(bytes), items.max(bytes))),
            (Some(only), None) if rest.1 == 0.0 => Some((only, only)),
            (None, Some(bytes)) => Some((bytes, bytes)),
            _ => None,
        }
    }
}

fn share(amount: Amount) -> f64 {
    if amount.known == 0 {
        return 0.0;
    }
    amount.done as f64 / amount.known as f64
}

/// What was gained from one mark to another, in shares of what was done up to `now`.
fn progress(from: &Look, to: &Look, now: &Look) -> f64 {
    let gained = |from: Amount, to: Amount, now: Amount| {
        to.done.saturating_sub(from.done) as f64 / (now.done as f64).max(1.0)
    };
    gained(from.items, to.items, now.items) + gained(from.bytes, to.bytes, now.bytes)
}

#[cfg(test)]
mod tests;
