//! Settings of those who watch the agent: the log, and where health and metrics are told.

use std::net::SocketAddr;

use datasync_telemetry::{LogFormat, LogOutput, check_filter};

use super::validate::Check;

impl Check {
    /// An empty text is none, as where nothing is said.
    pub(super) fn telemetry_listen(&mut self) -> Option<SocketAddr> {
        self.text("telemetry_listen")
            .filter(|text| !text.is_empty())?;
        self.optional("telemetry_listen", |text| {
            text.parse()
                .map_err(|_| format!("{text:?} is not address:port, for example 127.0.0.1:9180"))
        })
    }
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    let no_filter = "is no level (error, warn, info, debug, trace) and no filter";
    check_filter(text)
        .map(|()| text.to_owned())
        .map_err(|_| format!("{text:?} {no_filter}"))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is neither text nor json")),
    }
}

pub(super) fn log_output(text: &str) -> Result<LogOutput, String> {
    match text {
        "stderr" => Ok(LogOutput::Stderr),
        "stdout" => Ok(LogOutput::Stdout),
        _ => Err(format!("{text:?} is neither stderr nor stdout")),
    }
}
