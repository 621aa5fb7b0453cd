//! The log, by the agent's settings.

use datasync_telemetry::{LogError, LogLevel, LogOutput, LogSettings, init};

use crate::config::ProcessSettings;

/// Sends the process's log to `output`. Once per process, by the binary.
///
/// # Errors
/// If there is a log already.
pub fn init_logging(settings: &ProcessSettings, output: LogOutput) -> Result<LogLevel, LogError> {
    init(LogSettings {
        filter: &settings.log_level,
        format: settings.log_format,
        output,
    })
}
