//! `Filters` of ListLocations and ListTasks (user guide, "Filtering DataSync resources").

use datasync_model::Operator;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::super::check::{self, required};
use super::super::error::ApiError;
use crate::records::{Location, LocationDetails, Task};

/// One element of `Filters`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FilterInput {
    name: Option<String>,
    values: Option<Vec<String>>,
    operator: Option<String>,
}

#[derive(Debug)]
enum Test {
    Text(Vec<String>),
    Time(Vec<i64>),
}

#[derive(Debug)]
struct Filter {
    name: String,
    operator: Operator,
    test: Test,
}

/// Filters of which all must hold.
#[derive(Debug)]
pub(crate) struct Filters(Vec<Filter>);

impl Filters {
    /// # Errors
    /// Operators that do not fit the name, values that cannot be read.
    pub(crate) fn of(input: Vec<FilterInput>) -> Result<Self, ApiError> {
        input
            .into_iter()
            .map(FilterInput::check)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn keep_location(&self, location: &Location, uri: &str) -> bool {
        self.0.iter().all(|filter| match filter.name.as_str() {
            "LocationUri" => filter.text(&[uri]),
            "LocationType" => filter.text(&[type_of(location)]),
            _ => filter.time(location.created_at_ms),
        })
    }

    /// ARNs of locations of which a task must use one, if the filters say so.
    pub(crate) fn locations(&self) -> Option<&[String]> {
        self.0.iter().find_map(|filter| match &filter.test {
            Test::Text(values)
                if filter.name == "LocationId"
                    && matches!(filter.operator, Operator::Equals | Operator::In) =>
            {
                Some(values.as_slice())
            }
            _ => None,
        })
    }

    pub(crate) fn keep_task(&self, task: &Task) -> bool {
        self.0.iter().all(|filter| match filter.name.as_str() {
            "LocationId" => filter.text(&[&task.source.to_string(), &task.destination.to_string()]),
            _ => filter.time(task.created_at_ms),
        })
    }
}

fn type_of(location: &Location) -> &'static str {
    match location.details {
        LocationDetails::Nfs(_) => "NFS",
        LocationDetails::Efs(_) => "EFS",
        LocationDetails::S3(_) => "S3",
        LocationDetails::ObjectStorage(_) => "OBJECT_STORAGE",
    }
}

impl FilterInput {
    /// The names and operators are those of the model, and so are the values' characters.
    fn check(self) -> Result<Filter, ApiError> {
        let name = required(self.name, "Filters.member.Name")?;
        let values = required(self.values, "Filters.member.Values")?;
        let word = required(self.operator, "Filters.member.Operator")?;
        let operator = check::word(&word, "Filters.member.Operator", Operator::ALL)?;
        let is_time = name == "CreationTime";
        if values.is_empty() || !fits(operator, is_time) {
            return Err(ApiError::invalid(format!(
                "Filter {name} cannot be used with operator {word} and {} value(s).",
                values.len()
            )));
        }
        let test = if is_time {
            Test::Time(values.iter().map(|v| time(v)).collect::<Result<_, _>>()?)
        } else {
            Test::Text(values)
        };
        Ok(Filter {
            name,
            operator,
            test,
        })
    }
}

fn fits(operator: Operator, is_time: bool) -> bool {
    match operator {
        Operator::Equals | Operator::NotEquals => true,
        Operator::In | Operator::Contains | Operator::NotContains | Operator::BeginsWith => {
            !is_time
        }
        Operator::LessThan
        | Operator::LessThanOrEqual
        | Operator::GreaterThan
        | Operator::GreaterThanOrEqual => is_time,
    }
}

/// `2019-12-15 17:15:20` or `2019-12-15T17:15:20Z`, in UTC; in milliseconds since 1970.
fn time(value: &str) -> Result<i64, ApiError> {
    let plain = value.trim_end_matches('Z').replace('T', " ");
    plain
        .parse::<DateTime>()
        .and_then(|civil| TimeZone::UTC.to_timestamp(civil))
        .map(|timestamp| timestamp.as_millisecond())
        .map_err(|_| {
            ApiError::invalid(format!(
                "CreationTime {value:?} cannot be read: write it as 2019-12-15 17:15:20, in UTC."
            ))
        })
}

impl Filter {
    fn text(&self, facts: &[&str]) -> bool {
        let Test::Text(values) = &self.test else {
            return false;
        };
        let any = |holds: &dyn Fn(&str, &str) -> bool| {
            facts
                .iter()
                .any(|fact| values.iter().any(|value| holds(fact, value)))
        };
        match self.operator {
            Operator::Equals | Operator::In => any(&|fact, value| fact == value),
            Operator::NotEquals => !any(&|fact, value| fact == value),
            Operator::Contains => any(&|fact, value| fact.contains(value)),
            Operator::NotContains => !any(&|fact, value| fact.contains(value)),
            Operator::BeginsWith => any(&|fact, value| fact.starts_with(value)),
            Operator::LessThan
            | Operator::LessThanOrEqual
            | Operator::GreaterThan
            | Operator::GreaterThanOrEqual => false,
        }
    }

    /// To the second, which is as fine as values are.
    fn time(&self, fact_ms: i64) -> bool {
        let Test::Time(values) = &self.test else {
            return false;
        };
        let fact = fact_ms.div_euclid(1000);
        let any = |holds: fn(i64, i64) -> bool| {
            values
                .iter()
                .any(|value| holds(fact, value.div_euclid(1000)))
        };
        match self.operator {
            Operator::Equals => any(|fact, value| fact == value),
            Operator::NotEquals => !any(|fact, value| fact == value),
            Operator::LessThan => any(|fact, value| fact < value),
            Operator::LessThanOrEqual => any(|fact, value| fact <= value),
            Operator::GreaterThan => any(|fact, value| fact > value),
            Operator::GreaterThanOrEqual => any(|fact, value| fact >= value),
            Operator::In | Operator::Contains | Operator::NotContains | Operator::BeginsWith => {
                false
            }
        }
    }
}
