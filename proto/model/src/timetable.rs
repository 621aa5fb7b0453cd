//! A weekly timetable of bandwidth limits, by the clocks of a time zone.
//!
//! `ZONE [DAYS] [HH:MM-HH:MM] LIMIT / [DAYS] [HH:MM-HH:MM] LIMIT / …`, in the characters that the
//! value of an AWS tag may have: `Europe/Berlin Mon-Fri 08:00-18:00 10MiB / Sat+Sun unlimited`.

mod parse;
mod week;

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::BytesPerSecond;
use week::Week;

/// How far ahead a change is looked for. What a change of the clocks skips in one week comes in
/// the next.
const HORIZON: SignedDuration = SignedDuration::from_hours(3 * 7 * 24);

/// Limits for times of the week; no two of them overlap. What no entry covers has the limit of
/// the task's option `BytesPerSecond`.
///
/// What counts is what the clocks of the zone show: a time that they skip does not come, one that
/// they show twice counts twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BandwidthTimetable {
    text: String,
    zone: TimeZone,
    week: Week,
}

/// What is wrong with a timetable: which entry, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimetableError(String);

impl fmt::Display for TimetableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TimetableError {}

impl BandwidthTimetable {
    /// The tag of a task, or of StartTaskExecution, that holds one. It is not DataSync's.
    pub const TAG: &str = "datasync:bandwidth-timetable";

    /// The longest in characters: what the value of a tag can hold (API reference, `TagListEntry`).
    pub const CHARACTERS_MAX: usize = 256;

    /// The limit at `now`, `rest` where no entry says one, and the first moment after `now` at
    /// which it is another; `None` if it stays as it is.
    #[must_use]
    pub fn limit_at(
        &self,
        rest: BytesPerSecond,
        now: Timestamp,
    ) -> (BytesPerSecond, Option<Timestamp>) {
        let limit = |at| self.week.limit(self.second_of_week(at)).unwrap_or(rest);
        let present = limit(now);
        let changes = || {
            let end = now.checked_add(HORIZON).ok()?;
            let mut at = Timestamp::from_second(now.as_second()).ok()?;
            while at < end {
                at = self.next_candidate(at)?;
                if limit(at) != present {
                    return Some(at);
                }
            }
            None
        };
        (present, changes())
    }

    /// Seconds since Monday, 0:00, by the clocks of the zone.
    fn second_of_week(&self, at: Timestamp) -> i64 {
        let offset = i64::from(self.zone.to_offset(at).seconds());
        week::second_of(at.as_second().saturating_add(offset))
    }

    /// The first moment after `at` at which an entry begins or ends or the clocks change.
    fn next_candidate(&self, at: Timestamp) -> Option<Timestamp> {
        let local = self.second_of_week(at);
        let wait = SignedDuration::from_secs(self.week.seconds_to_boundary(local));
        let boundary = at.checked_add(wait).ok()?;
        let clocks_change = self.zone.following(at).next();
        Some(clocks_change.map_or(boundary, |change| change.timestamp().min(boundary)))
    }
}

impl FromStr for BandwidthTimetable {
    type Err = TimetableError;

    fn from_str(text: &str) -> Result<Self, TimetableError> {
        let (zone, week) = parse::timetable(text).map_err(TimetableError)?;
        let text = text.to_owned();
        Ok(Self { text, zone, week })
    }
}

impl TryFrom<String> for BandwidthTimetable {
    type Error = TimetableError;

    fn try_from(text: String) -> Result<Self, TimetableError> {
        text.parse()
    }
}

impl From<BandwidthTimetable> for String {
    fn from(timetable: BandwidthTimetable) -> Self {
        timetable.text
    }
}

#[cfg(test)]
mod tests;
