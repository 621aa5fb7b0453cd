//! Limits over the seconds of a week that begins on Monday, 0:00.

use crate::BytesPerSecond;

pub(super) const DAY: i64 = 24 * 60 * 60;
const WEEK: i64 = 7 * DAY;
/// 1970-01-01 was a Thursday.
const EPOCH: i64 = 3 * DAY;

/// Spans that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Week(Vec<Span>);

/// From a second of the week up to another one, which it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    from: i64,
    to: i64,
    limit: BytesPerSecond,
    entry: usize,
}

/// The numbers of two entries, and the second of the week at which both say a limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    pub(super) entries: [usize; 2],
    pub(super) second: i64,
}

/// The second of the week of a local time in seconds since 1970.
pub(super) fn second_of(local: i64) -> i64 {
    local.saturating_add(EPOCH).rem_euclid(WEEK)
}

/// The spans of the `entry`th entry on one day, Monday being 0, in seconds since its midnight:
/// two where it runs into the next week.
pub(super) fn spans(
    entry: usize,
    day: i64,
    (from, to): (i64, i64),
    limit: BytesPerSecond,
) -> impl Iterator<Item = Span> {
    let (from, to) = (day * DAY + from, day * DAY + to);
    let span = move |from, to| Span {
        from,
        to,
        limit,
        entry,
    };
    let next_week = (to > WEEK).then(|| span(0, to - WEEK));
    [Some(span(from, to.min(WEEK))), next_week]
        .into_iter()
        .flatten()
}

impl Week {
    pub(super) fn new(mut spans: Vec<Span>) -> Result<Self, Overlap> {
        spans.sort_by_key(|span| span.from);
        for (one, next) in spans.iter().zip(spans.iter().skip(1)) {
            if next.from < one.to {
                let entries = [one.entry.min(next.entry), one.entry.max(next.entry)];
                let second = next.from;
                return Err(Overlap { entries, second });
            }
        }
        Ok(Self(spans))
    }

    /// What is said for a second of the week.
    pub(super) fn limit(&self, second: i64) -> Option<BytesPerSecond> {
        let span = self.0.iter().find(|span| second < span.to)?;
        (span.from <= second).then_some(span.limit)
    }

    /// Seconds from one of the week to the next at which a span begins or ends: more than 0.
    pub(super) fn seconds_to_boundary(&self, second: i64) -> i64 {
        let boundaries = self.0.iter().flat_map(|span| [span.from, span.to]);
        boundaries
            .map(|boundary| (boundary - second).rem_euclid(WEEK))
            .filter(|wait| *wait > 0)
            .min()
            .unwrap_or(WEEK)
    }
}
