//! Which days of a month a cron expression takes.

use jiff::civil::{Date, Weekday};

use super::ScheduleError;
use super::values::{DAY_OF_MONTH, DAY_OF_WEEK, Values};

/// The two day fields, of which one is `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Days {
    OfMonth(DaysOfMonth),
    OfWeek(DaysOfWeek),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaysOfMonth {
    plain: Values,
    /// `L`
    last: bool,
    /// `LW`: the last day that is no Saturday or Sunday.
    last_weekday: bool,
    /// `nW`: the day from Monday to Friday that is nearest to the nth, in the same month.
    nearest_weekday: Vec<i8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaysOfWeek {
    /// 1 is Sunday.
    plain: Values,
    /// `nL`: the last such day of the month.
    last: Vec<u16>,
    /// `n#k`: the kth such day of the month.
    nth: Vec<(u16, i8)>,
}

impl Days {
    pub(super) fn parse(of_month: &str, of_week: &str) -> Result<Self, ScheduleError> {
        match (of_month, of_week) {
            ("?", "?") => Err(ScheduleError::new(
                "day-of-month and day-of-week are both ?: one of them must name the days",
            )),
            (of_month, "?") => Ok(Self::OfMonth(DaysOfMonth::parse(of_month)?)),
            ("?", of_week) => Ok(Self::OfWeek(DaysOfWeek::parse(of_week)?)),
            _ => Err(ScheduleError::new(
                "day-of-month and day-of-week are both given: one of them must be ?",
            )),
        }
    }

    /// The days of the month of `first`, its first day.
    pub(super) fn of(&self, first: Date) -> impl Iterator<Item = Date> {
        let last = first.days_in_month();
        (1..=last)
            .filter_map(move |day| Date::new(first.year(), first.month(), day).ok())
            .filter(move |date| match self {
                Self::OfMonth(days) => days.contains(*date),
                Self::OfWeek(days) => days.contains(*date),
            })
    }
}

impl DaysOfMonth {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        let mut days = Self {
            plain: Values::none(DAY_OF_MONTH),
            last: false,
            last_weekday: false,
            nearest_weekday: Vec::new(),
        };
        for item in text.split(',') {
            match (item, item.strip_suffix('W')) {
                ("L", _) => days.last = true,
                ("LW", _) => days.last_weekday = true,
                (_, Some(day)) => {
                    let day = DAY_OF_MONTH.number(day, item)?;
                    days.nearest_weekday.push(small(day));
                }
                _ => DAY_OF_MONTH.parse_item(item, &mut days.plain)?,
            }
        }
        Ok(days)
    }

    fn contains(&self, date: Date) -> bool {
        let (day, last) = (date.day(), date.days_in_month());
        self.plain.contains(u16::from(day.unsigned_abs()))
            || (self.last && day == last)
            || (self.last_weekday && is_nearest_weekday(date, last))
            || self
                .nearest_weekday
                .iter()
                .any(|wanted| *wanted <= last && is_nearest_weekday(date, *wanted))
    }
}

/// Whether `date` is the day from Monday to Friday that is nearest to the day `wanted` of its month
/// without leaving the month.
fn is_nearest_weekday(date: Date, wanted: i8) -> bool {
    let Ok(wanted) = Date::new(date.year(), date.month(), wanted) else {
        return false;
    };
    let (day, last) = (wanted.day(), wanted.days_in_month());
    let nearest = match wanted.weekday() {
        Weekday::Saturday if day == 1 => day + 2,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == last => day - 2,
        Weekday::Sunday => day + 1,
        _ => day,
    };
    date.day() == nearest
}

impl DaysOfWeek {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        let mut days = Self {
            plain: Values::none(DAY_OF_WEEK),
            last: Vec::new(),
            nth: Vec::new(),
        };
        for item in text.split(',') {
            if let Some((day, nth)) = item.split_once('#') {
                let nth: Option<i8> = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
                let nth = nth.ok_or_else(|| {
                    let wanted = "after # stands which such day of the month, 1 to 5";
                    ScheduleError::of_field(DAY_OF_WEEK.name, item, wanted)
                })?;
                days.nth.push((DAY_OF_WEEK.number(day, item)?, nth));
            } else if item == "L" {
                DAY_OF_WEEK.parse_item("SAT", &mut days.plain)?;
            } else if let Some(day) = item.strip_suffix('L') {
                days.last.push(DAY_OF_WEEK.number(day, item)?);
            } else {
                DAY_OF_WEEK.parse_item(item, &mut days.plain)?;
            }
        }
        Ok(days)
    }

    fn contains(&self, date: Date) -> bool {
        let of_week = u16::from(date.weekday().to_sunday_one_offset().unsigned_abs());
        let nth = (date.day() - 1) / 7 + 1;
        let is_last = date.day() + 7 > date.days_in_month();
        self.plain.contains(of_week)
            || (is_last && self.last.contains(&of_week))
            || self.nth.contains(&(of_week, nth))
    }
}

/// A day of a month fits.
fn small(day: u16) -> i8 {
    i8::try_from(day).unwrap_or(i8::MAX)
}
