//! Which numbers a field of a cron expression takes: `*`, `a`, `a-b`, `a/step`, `a-b/step`, lists.

use super::ScheduleError;

/// A field of a cron expression and what may stand in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) first: u16,
    pub(super) last: u16,
    /// Three-letter words for the numbers from `first` on.
    pub(super) words: &'static [&'static str],
}

pub(super) const MINUTES: Field = Field::numbers("minutes", 0, 59);
pub(super) const HOURS: Field = Field::numbers("hours", 0, 23);
pub(super) const DAY_OF_MONTH: Field = Field::numbers("day-of-month", 1, 31);
pub(super) const MONTH: Field = Field {
    words: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
    ..Field::numbers("month", 1, 12)
};
pub(super) const DAY_OF_WEEK: Field = Field {
    words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ..Field::numbers("day-of-week", 1, 7)
};
pub(super) const YEAR: Field = Field::numbers("year", 1970, 2199);

/// A set of numbers of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    first: u16,
    taken: Vec<bool>,
}

impl Field {
    const fn numbers(name: &'static str, first: u16, last: u16) -> Self {
        Self {
            name,
            first,
            last,
            words: &[],
        }
    }

    /// The set of a whole field.
    pub(super) fn parse(self, text: &str) -> Result<Values, ScheduleError> {
        let mut values = Values::none(self);
        for item in text.split(',') {
            self.parse_item(item, &mut values)?;
        }
        Ok(values)
    }

    /// Adds one element of a list.
    pub(super) fn parse_item(self, item: &str, values: &mut Values) -> Result<(), ScheduleError> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step, item)?)),
            None => (item, None),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (self.number(from, item)?, self.number(to, item)?),
            None if range == "*" => (self.first, self.last),
            None => {
                let from = self.number(range, item)?;
                (from, if step.is_some() { self.last } else { from })
            }
        };
        values.take(from, to, step.unwrap_or(1));
        Ok(())
    }

    /// A number, or the word for one.
    pub(super) fn number(self, text: &str, item: &str) -> Result<u16, ScheduleError> {
        let word = self
            .words
            .iter()
            .zip(self.first..)
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        let number = match word {
            Some((_, number)) => Some(number),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number
            .filter(|number| (self.first..=self.last).contains(number))
            .ok_or_else(|| self.refused(item))
    }

    fn step(self, text: &str, item: &str) -> Result<u16, ScheduleError> {
        text.parse()
            .ok()
            .filter(|step| (1..=self.last).contains(step))
            .ok_or_else(|| self.refused(item))
    }

    pub(super) fn refused(self, item: &str) -> ScheduleError {
        let (first, last) = (self.first, self.last);
        let words = match self.words {
            [from, .., to] => format!(" or {from} to {to}"),
            _ => String::new(),
        };
        let wanted = format!(
            "it takes {first} to {last}{words}, ranges (a-b), steps (a/n), lists (a,b) and *"
        );
        ScheduleError::of_field(self.name, item, &wanted)
    }
}

impl Values {
    pub(super) fn none(field: Field) -> Self {
        Self {
            first: field.first,
            taken: vec![false; usize::from(field.last - field.first) + 1],
        }
    }

    /// Takes `from` and every `step`th number up to `to`; a range may go past the end, as in
    /// FRI-MON.
    fn take(&mut self, from: u16, to: u16, step: u16) {
        let count = self.taken.len();
        let (from, to) = (usize::from(from - self.first), usize::from(to - self.first));
        let last = if to < from { to + count } else { to };
        for index in (from..=last).step_by(usize::from(step)) {
            if let Some(taken) = self.taken.get_mut(index % count) {
                *taken = true;
            }
        }
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        let index = number.checked_sub(self.first).map(usize::from);
        index.is_some_and(|index| self.taken.get(index) == Some(&true))
    }

    /// The numbers from `from` on, rising.
    pub(super) fn from(&self, from: u16) -> impl Iterator<Item = u16> {
        let numbers = (self.first..).zip(&self.taken);
        numbers
            .filter(move |(number, taken)| **taken && *number >= from)
            .map(|(number, _)| number)
    }
}
