//! Lines of an execution's log (`LogLevel`), from the agent that makes them to whoever reads them.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// How grave a line is, in the words of DataSync's own logs.
    Severity {
        /// Something was done.
        Info = "INFO",
        /// A difference was found, or an item was left out.
        Notice = "NOTICE",
        /// Something did not work and is tried again, or is left out of the log.
        Warn = "WARN",
        /// Something was not done.
        Error = "ERROR",
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// By the agent's clock, in milliseconds since 1970 UTC.
    #[serde(rename = "at")]
    pub at_ms: i64,
    /// How grave it is.
    #[serde(rename = "s")]
    pub severity: Severity,
    /// One line, without control characters; of a task in ENHANCED mode a JSON object.
    #[serde(rename = "t")]
    pub text: String,
}

impl LogLine {
    /// The longest text in bytes: a path on both sides and a reason, each of 1 KiB, whose every
    /// character JSON escapes.
    pub const TEXT_BYTES_MAX: usize = 24 * 1024;

    /// What a line counts for beside its text in [`LOG_BYTES_MAX`].
    pub const OVERHEAD_BYTES: u64 = 32;

    /// What it takes of [`LOG_BYTES_MAX`].
    #[must_use]
    pub fn size(&self) -> u64 {
        self.text.len() as u64 + Self::OVERHEAD_BYTES
    }
}

/// As DataSync writes them in BASIC mode; the object of ENHANCED mode stands alone.
impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.text.starts_with('{') {
            f.write_str(&self.text)
        } else {
            write!(f, "[{}] {}", self.severity, self.text)
        }
    }
}

/// Lines that are kept of one execution.
pub const LOG_LINES_MAX: u64 = 100_000;

/// Bytes that are kept of one execution, by [`LogLine::size`].
pub const LOG_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_datasync_writes_it() {
        let mut line = LogLine {
            at_ms: 0,
            severity: Severity::Error,
            text: "Failed to open source file /f".to_owned(),
        };
        assert_eq!(line.to_string(), "[ERROR] Failed to open source file /f");
        line.text = r#"{"Action":"TRANSFER"}"#.to_owned();
        assert_eq!(line.to_string(), r#"{"Action":"TRANSFER"}"#);
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<LogLine>(&json).unwrap(), line);
    }
}
