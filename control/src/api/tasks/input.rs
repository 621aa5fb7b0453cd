//! Members that CreateTask, UpdateTask and StartTaskExecution share.

use std::time::Duration;

use datasync_model::{Excludes, Includes, OptionsError, OptionsOverride};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::arns::is_arn;
use super::super::call::{Call, decode};
use super::super::check::{self, list_size, unlike};
use super::super::error::ApiError;
use super::change::Change;
use super::{manifest, report, schedule};
use crate::records::{ManifestConfig, TaskReportConfig};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    cloud_watch_log_group_arn: Option<String>,
    options: Option<Map<String, Value>>,
    override_options: Option<Map<String, Value>>,
    includes: Option<Vec<Rule>>,
    excludes: Option<Vec<Rule>>,
    schedule: Option<schedule::Input>,
    manifest_config: Option<manifest::Input>,
    task_report_config: Option<report::Input>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    filter_type: Option<String>,
    value: Option<String>,
}

/// Filters that were given; an empty one clears.
#[derive(Debug, Default)]
pub(in crate::api) struct Filter {
    pub(in crate::api) includes: Option<Includes>,
    pub(in crate::api) excludes: Option<Excludes>,
}

/// The members, checked.
#[derive(Debug, Default)]
pub(in crate::api) struct Common {
    /// Inside: an empty name clears.
    pub(in crate::api) name: Option<Option<String>>,
    pub(in crate::api) log_group_arn: Option<String>,
    pub(in crate::api) options: OptionsOverride,
    pub(in crate::api) filter: Filter,
    pub(in crate::api) schedule: schedule::Wanted,
    pub(in crate::api) manifest: Change<ManifestConfig>,
    pub(in crate::api) report: Change<TaskReportConfig>,
}

impl Common {
    pub(in crate::api) fn of(call: &Call<'_>) -> Result<Self, ApiError> {
        let interval_min = call.settings().schedule_interval_min;
        Self::read(call.operation(), call.members(), interval_min)
    }

    /// `schedule_interval_min` is the shortest time between two starts that control allows.
    pub(in crate::api) fn read(
        operation: &str,
        members: &Value,
        schedule_interval_min: Duration,
    ) -> Result<Self, ApiError> {
        let input: Input = decode(operation, members)?;
        let given = match operation {
            "StartTaskExecution" => input.override_options,
            _ => input.options,
        };
        let name = match input.name {
            Some(name) => Some(check::optional_name(Some(name), "Name")?),
            None => None,
        };
        if let Some(arn) = &input.cloud_watch_log_group_arn {
            log_group(arn)?;
        }
        Ok(Self {
            name,
            log_group_arn: input.cloud_watch_log_group_arn,
            schedule: match input.schedule {
                Some(schedule) => schedule.check(schedule_interval_min)?,
                None => schedule::Wanted::AsItIs,
            },
            manifest: manifest::wanted(input.manifest_config)?,
            report: report::wanted(input.task_report_config)?,
            options: options(given.unwrap_or_default())?,
            filter: Filter {
                includes: pattern(input.includes, "Includes")?
                    .map(|value| Includes::parse(&value))
                    .transpose()
                    .map_err(|error| ApiError::invalid(format!("Includes: {error}")))?,
                excludes: pattern(input.excludes, "Excludes")?
                    .map(|value| Excludes::parse(&value))
                    .transpose()
                    .map_err(|error| ApiError::invalid(format!("Excludes: {error}")))?,
            },
        })
    }
}

fn log_group(arn: &str) -> Result<(), ApiError> {
    let name = |rest: &str| {
        rest.strip_prefix("log-group:").is_some_and(|name| {
            let name = name.strip_suffix(":*").unwrap_or(name);
            !name.contains([':', '*'])
        })
    };
    if arn.len() <= 562 && is_arn(arn, "logs", false, name) {
        Ok(())
    } else {
        Err(unlike(
            arn,
            "CloudWatchLogGroupArn",
            "^arn:(aws|…):logs:[a-z\\-0-9]+:[0-9]{12}:log-group:([^:\\*]*)(:\\*)?$",
        ))
    }
}

fn pattern(rules: Option<Vec<Rule>>, member: &str) -> Result<Option<String>, ApiError> {
    let Some(rules) = rules else { return Ok(None) };
    list_size(&rules, member, 0, 1)?;
    let Some(rule) = rules.into_iter().next() else {
        return Ok(Some(String::new()));
    };
    if let Some(word) = rule.filter_type.filter(|word| word != "SIMPLE_PATTERN") {
        return Err(ApiError::constraint(
            &format!("{member}.member.FilterType"),
            &word,
            "must be one of [SIMPLE_PATTERN]",
        ));
    }
    if rule.value.as_deref() == Some("") {
        return Err(unlike("", &format!("{member}.member.Value"), r"^[^\x00]+$"));
    }
    Ok(Some(rule.value.unwrap_or_default()))
}

pub(in crate::api) fn refused(error: OptionsError) -> ApiError {
    ApiError::invalid(error.to_string())
}

/// Reads options one by one, so that a wrong type, a wrong word and a refused rate are told apart.
fn options(given: Map<String, Value>) -> Result<OptionsOverride, ApiError> {
    let mut known = Map::new();
    for (name, value) in given {
        if value.is_null() {
            continue;
        }
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if let Err(error) = serde_json::from_value::<OptionsOverride>(Value::Object(alone)) {
            return Err(bad_option(&name, &value, &error));
        }
        known.insert(name, value);
    }
    serde_json::from_value(Value::Object(known))
        .map_err(|error| ApiError::serialization(error.to_string()))
}

fn bad_option(name: &str, value: &Value, error: &serde_json::Error) -> ApiError {
    let wrong_type = || ApiError::serialization(format!("Options.{name} has the wrong type."));
    match (name, value) {
        ("BytesPerSecond", Value::Number(number)) => number.as_i64().map_or_else(wrong_type, |n| {
            match datasync_model::BytesPerSecond::try_from(n) {
                Ok(_) => wrong_type(),
                Err(error) => refused(error),
            }
        }),
        ("BytesPerSecond", _) => wrong_type(),
        (_, Value::String(_)) => {
            ApiError::invalid(format!("Invalid parameter: Options.{name}: {error}"))
        }
        _ => wrong_type(),
    }
}
