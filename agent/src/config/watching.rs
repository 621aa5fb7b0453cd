//! Settings of those who watch the agent: the log, and where and to whom health and metrics are told.

use std::net::SocketAddr;

use datasync_telemetry::{
    CollectorUrl, LogFormat, LogOutput, OtlpSettings, check_filter, otlp_interval,
    read_otlp_headers,
};

use super::validate::Check;

const OTLP_INTERVAL_SECONDS: &str = "60";

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

    /// An empty endpoint is none.
    pub(super) fn otlp(&mut self, ca_bundle: Option<String>) -> Option<OtlpSettings> {
        let interval = self.or(
            "otlp_interval_seconds",
            OTLP_INTERVAL_SECONDS,
            otlp_interval,
        );
        let headers = self.optional("otlp_headers_file", read_otlp_headers);
        self.text("otlp_endpoint").filter(|text| !text.is_empty())?;
        Some(OtlpSettings {
            endpoint: self.optional("otlp_endpoint", CollectorUrl::parse)?,
            interval: interval?,
            headers: headers.unwrap_or_default(),
            ca_bundle,
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
