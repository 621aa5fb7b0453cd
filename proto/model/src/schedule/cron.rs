//! Cron expressions.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::ScheduleError;
use super::days::Days;
use super::values::{HOURS, MINUTES, MONTH, Values, YEAR};

/// A parsed cron expression, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Values,
    hours: Values,
    days: Days,
    months: Values,
    years: Values,
}

const MINUTES_PER_HOUR: u16 = 60;

impl FromStr for Cron {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (minutes, hours, days, months, years) = match fields[..] {
            [minutes, hours, of_month, month, of_week, year] => {
                (minutes, hours, Days::parse(of_month, of_week)?, month, year)
            }
            // The user guide has an example without a year, in which * stands for ?.
            [minutes, hours, of_month, month, of_week] => {
                let days = match (of_month, of_week) {
                    ("*", of_week) if of_week != "?" => Days::parse("?", of_week)?,
                    (of_month, "*") if of_month != "?" => Days::parse(of_month, "?")?,
                    (of_month, of_week) => Days::parse(of_month, of_week)?,
                };
                (minutes, hours, days, month, "*")
            }
            _ => {
                return Err(ScheduleError::new(format!(
                    "a cron expression has six fields (minutes hours day-of-month month \
                     day-of-week year), this one has {}",
                    fields.len()
                )));
            }
        };
        Ok(Self {
            minutes: MINUTES.parse(minutes)?,
            hours: HOURS.parse(hours)?,
            days,
            months: MONTH.parse(months)?,
            years: YEAR.parse(years)?,
        })
    }
}

impl Cron {
    /// The least distance of two minutes of the hour, also across its end.
    pub(super) fn minutes_apart_min(&self) -> u64 {
        let minutes: Vec<u16> = self.minutes.from(0).collect();
        let first = minutes.first().map(|first| first + MINUTES_PER_HOUR);
        let next = minutes.iter().copied().skip(1).chain(first);
        let apart = minutes.iter().zip(next).map(|(one, next)| next - one);
        u64::from(apart.min().unwrap_or(MINUTES_PER_HOUR))
    }

    pub(super) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let minute = after.as_second().div_euclid(60).checked_add(1)?;
        let from = Timestamp::from_second(minute.checked_mul(60)?).ok()?;
        let from = from.to_zoned(TimeZone::UTC).datetime();
        let year = u16::try_from(from.year()).unwrap_or(0);
        let found = self
            .years
            .from(year)
            .flat_map(|year| self.months.from(1).map(move |month| (year, month)))
            .filter_map(|(year, month)| {
                let (year, month) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?);
                Date::new(year, month, 1).ok()
            })
            .filter(|first| first.last_of_month() >= from.date())
            .flat_map(|first| self.days.of(first))
            .filter(|date| *date >= from.date())
            .find_map(|date| self.first_of_day(date, from))?;
        Some(found.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    /// The first start on `date` that is not before `from`.
    fn first_of_day(&self, date: Date, from: DateTime) -> Option<DateTime> {
        let times = self.hours.from(0).flat_map(|hour| {
            self.minutes.from(0).filter_map(move |minute| {
                let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?);
                Some(date.at(hour, minute, 0, 0))
            })
        });
        times.into_iter().find(|time| *time >= from)
    }
}
