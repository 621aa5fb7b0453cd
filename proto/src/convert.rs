//! Conversions between messages and the model.

use std::fmt;

use datasync_model::{
    self as model, ErrorCode, ExecutionReport, ExecutionSpec, Failure, Location, Rate, Severity,
    Tenure,
};

use crate::report;
use crate::{Credentials, DesiredExecution, DesiredProbe, ExecutionObserved, LocationProbed};

/// A message of the right shape with a content that cannot be understood: the peer is of another
/// version, or broken.
#[derive(Debug, thiserror::Error)]
#[error("malformed {field}: {reason}")]
pub struct Malformed {
    field: &'static str,
    reason: String,
}

impl Malformed {
    fn new(field: &'static str, reason: impl fmt::Display) -> Self {
        Self {
            field,
            reason: reason.to_string(),
        }
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl DesiredExecution {
    /// A message for `spec`.
    #[must_use]
    pub fn new(spec: &ExecutionSpec, rate: impl Into<Rate>, cancel: bool) -> Self {
        Self {
            spec_json: to_json(spec),
            bytes_per_second: rate.into().into(),
            cancel,
            ..Self::default()
        }
    }

    /// The same, given to the agent as `tenure`.
    #[must_use]
    pub fn under(mut self, tenure: Tenure) -> Self {
        (self.epoch, self.leased) = (tenure.epoch, tenure.leased);
        self
    }

    /// As what the agent is given the execution.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        Tenure {
            epoch: self.epoch,
            leased: self.leased,
        }
    }

    /// The frozen description.
    ///
    /// # Errors
    /// [`Malformed`] if the JSON is not one of this version.
    pub fn spec(&self) -> Result<ExecutionSpec, Malformed> {
        serde_json::from_str(&self.spec_json).map_err(|e| Malformed::new("spec_json", e))
    }

    /// The present limit of the execution that `spec` describes.
    ///
    /// # Errors
    /// [`Malformed`] for numbers below -1, and for 0 where the specification has no timetable.
    pub fn rate(&self, spec: &ExecutionSpec) -> Result<Rate, Malformed> {
        let malformed = |reason: &dyn fmt::Display| Malformed::new("bytes_per_second", reason);
        let rate = Rate::try_from(self.bytes_per_second).map_err(|e| malformed(&e))?;
        if rate == Rate::Timetable && spec.extensions.bandwidth_timetable.is_none() {
            return Err(malformed(&"0 without a timetable"));
        }
        Ok(rate)
    }
}

impl DesiredProbe {
    /// A message that asks for `location` to be tried.
    #[must_use]
    pub fn new(probe_id: String, location: &Location, as_destination: bool) -> Self {
        Self {
            probe_id,
            location_json: to_json(location),
            as_destination,
        }
    }

    /// The location to be tried.
    ///
    /// # Errors
    /// [`Malformed`] if the JSON is not one of this version.
    pub fn location(&self) -> Result<Location, Malformed> {
        serde_json::from_str(&self.location_json).map_err(|e| Malformed::new("location_json", e))
    }
}

impl ExecutionObserved {
    /// A message with `report`, of the tenure with this epoch.
    #[must_use]
    pub fn new(report: &ExecutionReport, epoch: u64) -> Self {
        Self {
            report_json: to_json(report),
            epoch,
        }
    }

    /// The report, also one of another version: words that this version does not know count
    /// as the least that they can mean.
    ///
    /// # Errors
    /// [`Malformed`] if it is not JSON, or names no execution.
    pub fn report(&self) -> Result<ExecutionReport, Malformed> {
        report::read(&self.report_json).map_err(|e| Malformed::new("report_json", e))
    }
}

impl From<model::LogLine> for crate::LogLine {
    fn from(line: model::LogLine) -> Self {
        Self {
            at_milliseconds: line.at_ms,
            severity: line.severity.to_string(),
            text: line.text,
        }
    }
}

/// A severity that this version does not know counts as [`Severity::Notice`].
impl From<crate::LogLine> for model::LogLine {
    fn from(line: crate::LogLine) -> Self {
        Self {
            at_ms: line.at_milliseconds,
            severity: line.severity.parse().unwrap_or(Severity::Notice),
            text: line.text,
        }
    }
}

impl LocationProbed {
    /// The answer to a probe.
    #[must_use]
    pub fn new(probe_id: String, result: Result<(), &Failure>) -> Self {
        match result {
            Ok(()) => Self {
                probe_id,
                ..Self::default()
            },
            Err(failure) => Self {
                probe_id,
                error_code: failure.code.to_string(),
                error_detail: failure.detail.clone(),
            },
        }
    }

    /// What the probe found. A code that this version does not know counts as
    /// [`ErrorCode::Internal`] and is named in the detail.
    ///
    /// # Errors
    /// The failure that the agent found.
    pub fn result(&self) -> Result<(), Failure> {
        if self.error_code.is_empty() {
            return Ok(());
        }
        Err(failure(&self.error_code, &self.error_detail))
    }
}

/// A failure by its code as text.
pub(crate) fn failure(code: &str, detail: &str) -> Failure {
    match code.parse::<ErrorCode>() {
        Ok(code) => Failure::new(code, detail),
        Err(_) => Failure::new(ErrorCode::Internal, format!("{code}: {detail}")),
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("location_arn", &self.location_arn)
            .field("expires_at_seconds", &self.expires_at_seconds)
            .finish_non_exhaustive()
    }
}

macro_rules! debug_without_secrets {
    ($($message:ident),+) => {$(
        impl fmt::Debug for crate::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        }
    )+};
}
debug_without_secrets!(
    AwaitActivationRequest,
    ClaimActivationKeyRequest,
    ClaimActivationKeyResponse,
    RequestActivationKeyResponse
);
