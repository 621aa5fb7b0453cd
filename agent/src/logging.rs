//! Logs to standard error, as text or as JSON.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, ProcessSettings};

/// A log level or filter that cannot be used, or logging that was set up before.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up logging: {0}")]
pub struct LoggingError(String);

/// Sends the process's logs to standard error. Once per process, by the binary.
///
/// # Errors
/// If a subscriber is set already.
pub fn init_logging(settings: &ProcessSettings) -> Result<(), LoggingError> {
    let filter =
        EnvFilter::try_new(&settings.log_level).map_err(|e| LoggingError(e.to_string()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .map_err(|e| LoggingError(e.to_string()))
}
