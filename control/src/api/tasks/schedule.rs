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

/// The most characters of a `ScheduleDisabledReason`.
const REASON_CHARACTERS_MAX: usize = 8192;

/// A text in the characters and the length of a `ScheduleDisabledReason`,
/// `^[\w\s.,'?!:;\/=|<>()-]*$`: brackets and quotes become their like, others `_`.
fn as_reason(text: &str) -> String {
    let allowed = |character: char| match character {
        '"' | '`' => '\'',
        '[' | '{' => '(',
        ']' | '}' => ')',
        _ if character.is_ascii_alphanumeric() || character.is_ascii_whitespace() => character,
        _ if "_.,'?!:;/=|<>()-".contains(character) => character,
        _ => '_',
    };
    text.chars()
        .take(REASON_CHARACTERS_MAX)
        .map(allowed)
        .collect()
}

/// `Schedule` and `ScheduleDetails` of DescribeTask.
pub(super) fn shown(schedule: &TaskSchedule) -> (Value, Value) {
    let status = match schedule.disabled {
        None => "ENABLED",
        Some(_) => "DISABLED",
    };
    let mut details = json!({"StatusUpdateTime": seconds(schedule.status_changed_at_ms)});
    if let Some(disabled) = &schedule.disabled {
        details["DisabledReason"] = as_reason(&disabled.reason).into();
        details["DisabledBy"] = json!(disabled.by);
    }
    let schedule = json!({"ScheduleExpression": schedule.expression, "Status": status});
    (schedule, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_the_characters_and_the_length_of_the_model() {
        let said = "SourceFault: READ \"nas:/a b\" [5] {x}: 100% & caf\u{e9}, a|b; (c) <d>?\n";
        let shown = "SourceFault: READ 'nas:/a b' (5) (x): 100_ _ caf_, a|b; (c) <d>?\n";
        assert_eq!(as_reason(said), shown);
        let long = "\u{e9}".repeat(REASON_CHARACTERS_MAX + 1);
        assert_eq!(as_reason(&long).len(), REASON_CHARACTERS_MAX);
    }
}
