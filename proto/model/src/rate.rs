//! What decides the bandwidth of an execution.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BytesPerSecond, ExecutionSpec, OptionsError};

/// What an execution's bandwidth is held to. As a number, 0 stands for the timetable and anything
/// else for itself: who knows no timetables refuses 0 instead of running without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub enum Rate {
    /// One limit, until the execution ends or there is another order.
    Fixed(BytesPerSecond),
    /// What the timetable in the specification says at each moment.
    Timetable,
}

impl Rate {
    /// The rate that an execution begins with.
    #[must_use]
    pub fn of(spec: &ExecutionSpec) -> Self {
        match &spec.extensions.bandwidth_timetable {
            Some(_) => Self::Timetable,
            None => Self::Fixed(spec.options.bytes_per_second),
        }
    }

    /// The limit at `now` for `spec`, and when it changes by itself; `None`: it does not.
    #[must_use]
    pub fn limit_at(
        self,
        spec: &ExecutionSpec,
        now: Timestamp,
    ) -> (BytesPerSecond, Option<Timestamp>) {
        let rest = spec.options.bytes_per_second;
        match (self, &spec.extensions.bandwidth_timetable) {
            (Self::Fixed(limit), _) => (limit, None),
            (Self::Timetable, Some(timetable)) => timetable.limit_at(rest, now),
            (Self::Timetable, None) => (rest, None),
        }
    }
}

impl From<BytesPerSecond> for Rate {
    fn from(limit: BytesPerSecond) -> Self {
        Self::Fixed(limit)
    }
}

impl TryFrom<i64> for Rate {
    type Error = OptionsError;

    fn try_from(number: i64) -> Result<Self, OptionsError> {
        match number {
            0 => Ok(Self::Timetable),
            number => BytesPerSecond::try_from(number).map(Self::Fixed),
        }
    }
}

impl From<Rate> for i64 {
    fn from(rate: Rate) -> Self {
        match rate {
            Rate::Fixed(limit) => limit.into(),
            Rate::Timetable => 0,
        }
    }
}
