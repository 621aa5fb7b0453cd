//! Timetables as text.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::BandwidthTimetable;
use super::week::{self, DAY, Overlap, Week};
use crate::{BytesPerSecond, parse_bytes};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const EXAMPLE: &str = "Europe/Berlin Mon-Fri 08:00-18:00 10MiB / Sat+Sun unlimited";
const MINUTE: i64 = 60;

pub(super) fn timetable(text: &str) -> Result<(TimeZone, Week), String> {
    let max = BandwidthTimetable::CHARACTERS_MAX;
    if text.chars().count() > max {
        return Err(format!("it is longer than {max} characters"));
    }
    let text = text.trim();
    let (name, entries) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let zone = zone(name)?;
    let words: Vec<&str> = entries.split_whitespace().collect();
    let entries: Vec<&[&str]> = words.split(|word| *word == "/").collect();
    let mut spans = Vec::new();
    for (number, words) in entries.iter().enumerate() {
        let Entry { days, times, limit } = Entry::read(words)
            .map_err(|reason| format!("{}: {reason}", shown(&entries, number)))?;
        spans.extend(
            days.into_iter()
                .flat_map(|day| week::spans(number, day, times, limit)),
        );
    }
    let week = Week::new(spans).map_err(|Overlap { entries: [a, b], second }| {
        format!(
            "{} and {} overlap on {} at {}: every moment may have one limit; what no entry covers \
             has that of BytesPerSecond",
            shown(&entries, a),
            shown(&entries, b),
            day_name(second),
            clock(second % DAY)
        )
    })?;
    Ok((zone, week))
}

/// An entry by its number, from 1, and its text.
fn shown(entries: &[&[&str]], number: usize) -> String {
    let words = entries.get(number).copied().unwrap_or_default();
    format!("entry {} {:?}", number + 1, words.join(" "))
}

fn day_name(second: i64) -> &'static str {
    let day = usize::try_from(second / DAY).ok();
    day.and_then(|day| DAYS.get(day)).copied().unwrap_or("?")
}

fn clock(second: i64) -> String {
    let minutes = second / MINUTE;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .ok()
        .filter(|zone| !zone.is_unknown())
        .ok_or_else(|| {
            format!(
                "it begins with {name:?}, which is no time zone of the IANA database: it must \
                 begin with one, as in {EXAMPLE}"
            )
        })
}

struct Entry {
    /// Monday is 0.
    days: Vec<i64>,
    /// Seconds since the midnight before; up to the end of the next day.
    times: (i64, i64),
    limit: BytesPerSecond,
}

impl Entry {
    fn read(words: &[&str]) -> Result<Self, String> {
        let (days, times, limit) = match words {
            [limit] => (None, None, limit),
            [times, limit] if is_times(times) => (None, Some(*times), limit),
            [days, limit] => (Some(*days), None, limit),
            [days, times, limit] => (Some(*days), Some(*times), limit),
            _ => {
                return Err(format!(
                    "it must be days, times and a limit, of which days or times may be left out, \
                     as in {EXAMPLE}; between two entries stands a / with blanks around it"
                ));
            }
        };
        Ok(Self {
            days: days.map_or_else(|| Ok((0..7).collect()), days_of)?,
            times: times.map_or(Ok((0, DAY)), times_of)?,
            limit: limit_of(limit)?,
        })
    }
}

fn is_times(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}

/// `Mon`, `Mon-Fri`, `Fri-Mon`, `Mon+Wed`, `Mon-Thu+Sat`; in any case.
fn days_of(text: &str) -> Result<Vec<i64>, String> {
    let refused = || {
        format!(
            "the days are {text:?}: use Mon, Tue, Wed, Thu, Fri, Sat and Sun, as in Mon-Fri or \
             Mon-Thu+Sat, each day once"
        )
    };
    let day = |name: &str| {
        let position = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        position
            .and_then(|day| i64::try_from(day).ok())
            .ok_or_else(refused)
    };
    let mut days = Vec::new();
    for range in text.split('+') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last - first).rem_euclid(7) + 1;
        days.extend((first..first + length).map(|day| day % 7));
    }
    days.sort_unstable();
    let count = days.len();
    days.dedup();
    if days.len() < count {
        return Err(refused());
    }
    Ok(days)
}

/// `08:00-18:00`, `22:00-06:00` past midnight, `00:00-24:00`.
fn times_of(text: &str) -> Result<(i64, i64), String> {
    let read = || {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (time_of(from)?, time_of(to)?);
        let past_midnight = if to < from { DAY } else { 0 };
        (from != to && from < DAY).then_some((from, to + past_midnight))
    };
    read().ok_or_else(|| {
        format!(
            "the times are {text:?}: write them as 08:00-18:00, as 22:00-06:00 for past midnight, \
             or as 00:00-24:00 for the whole day"
        )
    })
}

/// Seconds since midnight; up to 24:00.
fn time_of(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| digits)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let seconds = (hours * 60 + minutes) * MINUTE;
    (minutes < 60 && seconds <= DAY).then_some(seconds)
}

fn limit_of(text: &str) -> Result<BytesPerSecond, String> {
    if text.eq_ignore_ascii_case("unlimited") {
        return Ok(BytesPerSecond::UNLIMITED);
    }
    let bytes = parse_bytes(text)
        .ok()
        .and_then(|bytes| i64::try_from(bytes).ok());
    bytes
        .and_then(|bytes| BytesPerSecond::try_from(bytes).ok())
        .ok_or_else(|| {
            format!(
                "the limit is {text:?}: write bytes per second, more than 0, as in 10MiB (with B, \
                 KiB, MiB, GiB, TiB, KB, MB, GB, TB or no unit), or unlimited"
            )
        })
}
