//! When a task starts by itself: DataSync's schedule expressions, in UTC.
//!
//! `cron(minutes hours day-of-month month day-of-week year)` with EventBridge's wildcards, or
//! `rate(N hours|days)` (DataSync user guide, "Scheduling when your task runs"; EventBridge user
//! guide, "Cron and rate expressions").

mod cron;
mod days;
mod values;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use cron::Cron;

/// The longest expression in characters (API reference, `ScheduleExpressionCron`).
pub const EXPRESSION_CHARACTERS_MAX: usize = 256;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// No rate is longer: a century.
const RATE_MAX: u64 = 36_525 * DAY;

/// A parsed schedule expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Cron(Cron),
    Rate { seconds: u64 },
}

/// What is wrong with a schedule expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleError(String);

impl ScheduleError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn of_field(field: &str, given: &str, wanted: &str) -> Self {
        Self(format!("the field {field} is {given:?}: {wanted}"))
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScheduleError {}

impl Schedule {
    /// The shortest time between two starts: a cron expression with one minute starts at most
    /// hourly.
    #[must_use]
    pub fn interval_min(&self) -> Duration {
        match &self.0 {
            Kind::Cron(cron) => Duration::from_secs(cron.minutes_apart_min() * MINUTE),
            Kind::Rate { seconds } => Duration::from_secs(*seconds),
        }
    }

    /// The first start later than `after`; rates count from `anchor`. `None` if there is none any
    /// more (before the year 2200).
    #[must_use]
    pub fn next_after(&self, after: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Cron(cron) => cron.next_after(after),
            Kind::Rate { seconds } => {
                let period = i64::try_from(*seconds).ok()?;
                let passed = after.as_second().saturating_sub(anchor.as_second());
                let periods = passed.div_euclid(period).checked_add(1)?.max(1);
                let start = periods
                    .checked_mul(period)?
                    .checked_add(anchor.as_second())?;
                Timestamp::from_second(start).ok()
            }
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        if text.chars().count() > EXPRESSION_CHARACTERS_MAX {
            return Err(ScheduleError::new(format!(
                "it is longer than {EXPRESSION_CHARACTERS_MAX} characters"
            )));
        }
        let inside = |name: &str| {
            let rest = text.trim().strip_prefix(name)?.trim_start();
            Some(rest.strip_prefix('(')?.strip_suffix(')')?.trim())
        };
        if let Some(fields) = inside("cron") {
            return Ok(Self(Kind::Cron(fields.parse()?)));
        }
        if let Some(rate) = inside("rate") {
            let seconds = rate_seconds(rate)?;
            return Ok(Self(Kind::Rate { seconds }));
        }
        Err(ScheduleError::new(
            "it must be cron(minutes hours day-of-month month day-of-week year), as in \
             cron(0 12 ? * SUN,WED *), or rate(N hours) or rate(N days)",
        ))
    }
}

fn rate_seconds(text: &str) -> Result<u64, ScheduleError> {
    let refused = || {
        ScheduleError::new(format!(
            "the rate is {text:?}: it must be a whole number and hours or days, as in \
             rate(12 hours), or hour or day after 1"
        ))
    };
    let (number, unit) = text.split_once(char::is_whitespace).ok_or_else(refused)?;
    let number: u64 = number.parse().map_err(|_| refused())?;
    let unit = match (number, unit.trim()) {
        (1, "minute") => MINUTE,
        (1, "hour") => HOUR,
        (1, "day") => DAY,
        (2.., "minutes") => MINUTE,
        (2.., "hours") => HOUR,
        (2.., "days") => DAY,
        _ => return Err(refused()),
    };
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= RATE_MAX)
        .ok_or_else(|| ScheduleError::new("the rate is longer than a century"))
}

#[cfg(test)]
mod tests;
