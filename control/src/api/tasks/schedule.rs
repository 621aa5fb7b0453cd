//! `Schedule` of CreateTask, UpdateTask and DescribeTask.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use datasync_model::EXPRESSION_CHARACTERS_MAX;

use super::super::agents::seconds;
use super::super::check::{self, required};
use super::super::error::ApiError;
use crate::records::TaskSchedule;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    schedule_expression: Option<String>,
    status: Option<String>,
}

/// What a call says of the schedule.
#[derive(Debug, Clone, Default)]
pub(in crate::api) enum Wanted {
    /// Nothing.
    #[default]
    AsItIs,
    /// An empty expression.
    Nothing,
    Schedule {
        expression: String,
        enable: Option<bool>,
    },
}

impl Input {
    /// `interval_min` is the shortest time between two starts that control allows.
    pub(super) fn check(self, interval_min: Duration) -> Result<Wanted, ApiError> {
        const MEMBER: &str = "Schedule.ScheduleExpression";
        let expression = required(self.schedule_expression, MEMBER)?;
        check::text(
            &expression,
            MEMBER,
            EXPRESSION_CHARACTERS_MAX,
            r"^[a-zA-Z0-9\ \_\*\?\,\|\^\-\/\#\s\(\)\+]*$",
            |c| c.is_ascii_alphanumeric() || c.is_whitespace() || "_*?,|^-/#()+".contains(c),
        )?;
        let enable = match self.status.as_deref() {
            None => None,
            Some("ENABLED") => Some(true),
            Some("DISABLED") => Some(false),
            Some(word) => {
                let constraint = "must be one of [ENABLED, DISABLED]";
                return Err(ApiError::constraint("Schedule.Status", word, constraint));
            }
        };
        if expression.is_empty() {
            return Ok(Wanted::Nothing);
        }
        let schedule: datasync_model::Schedule = expression
            .parse()
            .map_err(|error| ApiError::invalid(format!("Invalid parameter: {MEMBER}: {error}.")))?;
        if schedule.interval_min() < interval_min {
            return Err(ApiError::invalid(format!(
                "Invalid parameter: {MEMBER}: {expression} starts every {} minutes, but at least \
                 {} minutes must lie between two starts.",
                schedule.interval_min().as_secs() / 60,
                interval_min.as_secs() / 60,
            )));
        }
        Ok(Wanted::Schedule { expression, enable })
    }
}

impl Wanted {
    /// What becomes of a task's schedule.
    pub(super) fn applied(
        self,
        present: Option<&TaskSchedule>,
        now: Timestamp,
    ) -> Option<TaskSchedule> {
        match (self, present) {
            (Self::AsItIs, present) => present.cloned(),
            (Self::Nothing, _) => None,
            (Self::Schedule { expression, enable }, Some(present)) => {
                Some(present.updated(expression, enable, now))
            }
            (Self::Schedule { expression, enable }, None) => {
                Some(TaskSchedule::new(expression, enable.unwrap_or(true), now))
            }
        }
    }
}

/// `Schedule` and `ScheduleDetails` of DescribeTask.
pub(super) fn shown(schedule: &TaskSchedule) -> (Value, Value) {
    let status = match schedule.disabled {
        None => "ENABLED",
        Some(_) => "DISABLED",
    };
    let mut details = json!({"StatusUpdateTime": seconds(schedule.status_changed_at_ms)});
    if let Some(disabled) = &schedule.disabled {
        details["DisabledReason"] = disabled.reason.clone().into();
        details["DisabledBy"] = json!(disabled.by);
    }
    let schedule = json!({"ScheduleExpression": schedule.expression, "Status": status});
    (schedule, details)
}
