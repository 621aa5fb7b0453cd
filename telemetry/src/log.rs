//! The process's log: text or JSON, and a filter that can be changed while it runs.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line; members of the event are members of the object.
    Json,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}

/// A log that cannot be set up, or a filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LogError(String);

/// How the log begins.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings<'a> {
    /// A level, or directives as `EnvFilter` of `tracing-subscriber` reads them.
    pub filter: &'a str,
    /// Form of its lines.
    pub format: LogFormat,
    /// Where they go.
    pub output: LogOutput,
}

/// Changes what is logged.
#[derive(Debug, Clone)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// Whether `filter` can be used: a level, or directives.
///
/// # Errors
/// [`LogError`] with what does not fit.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    if filter.trim().is_empty() {
        return Err(LogError("the log's filter is empty".to_owned()));
    }
    EnvFilter::try_new(filter).map_err(|error| LogError(format!("the log's filter: {error}")))
}

/// Sets up the process's log. Once per process, by the program.
///
/// # Errors
/// [`LogError`]: a filter that cannot be used, or a log that was set up before.
pub fn init(settings: LogSettings<'_>) -> Result<LogLevel, LogError> {
    let (filter, handle) = reload::Layer::new(parse(settings.filter)?);
    let (writer, is_terminal) = match settings.output {
        LogOutput::Stderr => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
        LogOutput::Stdout => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(is_terminal)
        .with_writer(writer);
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(|error| LogError(format!("the log cannot be set up: {error}")))?;
    Ok(LogLevel(handle))
}

impl LogLevel {
    /// Logs by `filter` from now on.
    ///
    /// # Errors
    /// [`LogError`] if it cannot be used; then what was there before is used on.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let filter = parse(filter)?;
        self.0
            .reload(filter)
            .map_err(|error| LogError(format!("the log's filter cannot be changed: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_and_changed_while_lines_are_written() {
        for good in ["info", "datasync_control=debug,warn", "off"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "  ", "a=b=c", "datasync=loud"] {
            assert!(check_filter(bad).is_err(), "{bad:?}");
        }
        // The only test of this process that sets up the log.
        let level = init(LogSettings {
            filter: "warn",
            format: LogFormat::Json,
            output: LogOutput::Stderr,
        })
        .unwrap();
        let enabled = || tracing::enabled!(tracing::Level::DEBUG);
        assert!(!enabled());
        level.set("debug").unwrap();
        assert!(enabled());
        assert!(level.set("loud=very").is_err());
        assert!(enabled(), "a filter that cannot be used changes nothing");
        level.set("error").unwrap();
        assert!(!enabled());
        let again = LogSettings {
            filter: "info",
            format: LogFormat::Text,
            output: LogOutput::Stdout,
        };
        assert!(init(again).is_err());
    }
}
