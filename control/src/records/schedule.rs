//! When a task starts by itself.

use std::time::Duration;

use datasync_model::{ErrorCode, Schedule};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who switched a schedule off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DisabledBy {
    /// Somebody, by the API.
    #[serde(rename = "USER")]
    User,
    /// Control, since the task only fails.
    #[serde(rename = "SERVICE")]
    Service,
}

/// That a schedule is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disabled {
    pub(crate) by: DisabledBy,
    /// As DescribeTask shows it.
    pub(crate) reason: String,
}

/// A task's schedule and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskSchedule {
    /// As it was given.
    pub(crate) expression: String,
    /// Absent while the schedule is ENABLED.
    pub(crate) disabled: Option<Disabled>,
    /// When it was last enabled or disabled.
    pub(crate) status_changed_at_ms: i64,
    /// What rates count from.
    anchor_ms: i64,
    /// The next start by the expression; absent while disabled, and after the last one.
    pub(crate) planned_at_ms: Option<i64>,
    /// When that start is to be tried: later than planned after a refusal.
    pub(crate) due_at_ms: Option<i64>,
    /// Scheduled executions in a row that broke off with the same error.
    failed_in_a_row: u32,
    failed_with: Option<ErrorCode>,
    /// The planned start that was refused last.
    refused_ms: Option<i64>,
    /// The last of them that was counted, by its planned start.
    counted_ms: Option<i64>,
}

/// So many scheduled executions in a row that break off with the same error switch the schedule
/// off, as DataSync does; its number is not published.
pub(crate) const FAILURES_MAX: u32 = 20;

/// So many missed starts are stepped over at a time.
const MISSED_MAX: u32 = 10_000;

impl TaskSchedule {
    pub(crate) fn new(expression: String, is_enabled: bool, now: Timestamp) -> Self {
        let mut schedule = Self {
            expression,
            disabled: None,
            status_changed_at_ms: now.as_millisecond(),
            anchor_ms: now.as_millisecond(),
            planned_at_ms: None,
            due_at_ms: None,
            failed_in_a_row: 0,
            failed_with: None,
            refused_ms: None,
            counted_ms: None,
        };
        if is_enabled {
            schedule.plan_after(now);
        } else {
            schedule.disable(DisabledBy::User, "Manually disabled by user.", now);
        }
        schedule
    }

    /// The schedule after UpdateTask. A status that is not given stays.
    pub(crate) fn updated(&self, expression: String, enable: Option<bool>, now: Timestamp) -> Self {
        let was_enabled = self.disabled.is_none();
        let is_enabled = enable.unwrap_or(was_enabled);
        if expression == self.expression && is_enabled == was_enabled {
            return self.clone();
        }
        let new = Self::new(expression, is_enabled, now);
        if is_enabled == was_enabled {
            return Self {
                disabled: self.disabled.clone(),
                status_changed_at_ms: self.status_changed_at_ms,
                ..new
            };
        }
        new
    }

    pub(crate) fn disable(&mut self, by: DisabledBy, reason: impl Into<String>, now: Timestamp) {
        self.disabled = Some(Disabled {
            by,
            reason: reason.into(),
        });
        self.status_changed_at_ms = now.as_millisecond();
        self.planned_at_ms = None;
        self.due_at_ms = None;
    }

    /// Plans the first start after `moment`.
    pub(crate) fn plan_after(&mut self, moment: Timestamp) {
        self.planned_at_ms = self.start_after(moment);
        self.due_at_ms = self.planned_at_ms;
    }

    /// Puts the planned start off; once those after it have come, the last of them counts. Whether
    /// it was put off for the first time.
    pub(crate) fn put_off(&mut self, now: Timestamp, wait: Duration) -> bool {
        let now_ms = now.as_millisecond();
        let is_new = self.refused_ms != self.planned_at_ms;
        self.refused_ms = self.planned_at_ms;
        for _ in 0..MISSED_MAX {
            let planned = self.planned_at_ms.map(Timestamp::from_millisecond);
            let next = planned.and_then(|planned| self.start_after(planned.ok()?));
            match next {
                Some(next_ms) if next_ms <= now_ms => self.planned_at_ms = Some(next_ms),
                _ => break,
            }
        }
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        self.due_at_ms = Some(now_ms.saturating_add(wait_ms));
        is_new
    }

    /// Plans anew what was planned by a clock that ran ahead; whether it was.
    pub(crate) fn straighten(&mut self, now: Timestamp) -> bool {
        let next = self.start_after(now);
        let is_ahead = self.due_at_ms.is_some() && next.is_some() && self.planned_at_ms > next;
        if is_ahead {
            self.plan_after(now);
        }
        is_ahead
    }

    /// Counts, once, how the scheduled execution of a planned start ended; whether the schedule is
    /// to go off.
    pub(crate) fn count(&mut self, planned_ms: i64, broke_off_with: Option<ErrorCode>) -> bool {
        if self.counted_ms == Some(planned_ms) {
            return false;
        }
        self.counted_ms = Some(planned_ms);
        let same = broke_off_with.is_some() && broke_off_with == self.failed_with;
        self.failed_in_a_row = match broke_off_with {
            None => 0,
            Some(_) if same => self.failed_in_a_row.saturating_add(1),
            Some(_) => 1,
        };
        self.failed_with = broke_off_with;
        self.failed_in_a_row >= FAILURES_MAX
    }

    fn start_after(&self, moment: Timestamp) -> Option<i64> {
        // It was parsed before it was kept.
        let schedule: Schedule = self.expression.parse().ok()?;
        let anchor = Timestamp::from_millisecond(self.anchor_ms).ok()?;
        Some(schedule.next_after(moment, anchor)?.as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn planned(schedule: &TaskSchedule) -> Option<Timestamp> {
        let ms = schedule.planned_at_ms?;
        Some(Timestamp::from_millisecond(ms).unwrap())
    }

    #[test]
    fn an_update_that_changes_nothing_keeps_the_plan() {
        let schedule = TaskSchedule::new("rate(2 hours)".to_owned(), true, at("2026-11-26T10:00Z"));
        let same = schedule.updated("rate(2 hours)".to_owned(), None, at("2026-11-26T11:30Z"));
        assert_eq!(same, schedule);
        let same = schedule.updated(
            "rate(2 hours)".to_owned(),
            Some(true),
            at("2026-11-26T11:30Z"),
        );
        assert_eq!(same, schedule);
        assert_eq!(planned(&schedule), Some(at("2026-11-26T12:00Z")));
    }

    #[test]
    fn a_new_expression_is_planned_anew_and_keeps_the_status() {
        let (made, later) = (at("2026-11-26T10:00Z"), at("2026-11-26T11:30Z"));
        let schedule = TaskSchedule::new("rate(2 hours)".to_owned(), true, made);
        let daily = schedule.updated("rate(1 day)".to_owned(), None, later);
        assert_eq!(planned(&daily), Some(at("2026-11-27T11:30Z")));
        assert_eq!(daily.status_changed_at_ms, made.as_millisecond());
        let off = daily.updated("rate(1 day)".to_owned(), Some(false), later);
        assert_eq!((planned(&off), off.due_at_ms), (None, None));
        assert_eq!(off.status_changed_at_ms, later.as_millisecond());
        let disabled = off.disabled.clone().unwrap();
        assert_eq!(disabled.by, DisabledBy::User);
        assert_eq!(disabled.reason, "Manually disabled by user.");
        let still_off = off.updated("rate(3 days)".to_owned(), None, later);
        assert_eq!(still_off.disabled, Some(disabled));
        assert_eq!(planned(&still_off), None);
        let on = still_off.updated("rate(3 days)".to_owned(), Some(true), later);
        assert_eq!(planned(&on), Some(at("2026-11-29T11:30Z")));
        assert_eq!(on.disabled, None);
    }

    #[test]
    fn a_start_that_is_put_off_is_given_up_for_the_next_one() {
        let wait = Duration::from_secs(15);
        let mut schedule =
            TaskSchedule::new("rate(1 hour)".to_owned(), true, at("2026-11-26T10:00Z"));
        schedule.put_off(at("2026-11-26T11:00:00Z"), wait);
        assert_eq!(planned(&schedule), Some(at("2026-11-26T11:00Z")));
        let due = at("2026-11-26T11:00:15Z").as_millisecond();
        assert_eq!(schedule.due_at_ms, Some(due));
        schedule.put_off(at("2026-11-26T12:00:00Z"), wait);
        assert_eq!(planned(&schedule), Some(at("2026-11-26T12:00Z")));
    }

    #[test]
    fn a_plan_of_a_clock_that_ran_ahead_is_made_anew() {
        let mut schedule = TaskSchedule::new(
            "cron(0 * * * ? *)".to_owned(),
            true,
            at("2030-01-01T00:10Z"),
        );
        assert!(schedule.straighten(at("2026-11-26T10:20Z")));
        assert_eq!(planned(&schedule), Some(at("2026-11-26T11:00Z")));
        assert!(!schedule.straighten(at("2026-11-26T10:20Z")));
    }

    #[test]
    fn only_the_same_failure_in_a_row_counts() {
        let mut schedule =
            TaskSchedule::new("rate(1 hour)".to_owned(), true, at("2026-11-26T10:00Z"));
        let failures = (1..).zip(1..FAILURES_MAX);
        for (start, _) in failures.clone() {
            assert!(!schedule.count(start, Some(ErrorCode::SourceFault)));
            assert!(!schedule.count(start, Some(ErrorCode::SourceFault)));
        }
        assert!(!schedule.count(100, Some(ErrorCode::DestinationFault)));
        for (start, _) in failures.skip(1) {
            assert!(!schedule.count(100 + start, Some(ErrorCode::DestinationFault)));
        }
        let mut good = schedule.clone();
        assert!(!good.count(200, None));
        assert!(!good.count(201, Some(ErrorCode::DestinationFault)));
        assert!(schedule.count(200, Some(ErrorCode::DestinationFault)));
    }
}
