//! Settings of those who watch control: the log, and where health and metrics are told.

use std::net::SocketAddr;

use datasync_telemetry::{LogFormat, LogOutput, check_filter};

use super::layers::Layers;

pub(super) fn log_format(layers: &mut Layers) -> Option<LogFormat> {
    layers.parsed("log_format", "text", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json"),
    })
}

pub(super) fn log_filter(layers: &mut Layers) -> Option<String> {
    layers.parsed("log_filter", "info", |text| {
        check_filter(text).map(|()| text.to_owned())
    })
}

pub(super) fn log_output(layers: &mut Layers) -> Option<LogOutput> {
    layers.parsed("log_output", "stderr", |text| match text {
        "stderr" => Ok(LogOutput::Stderr),
        "stdout" => Ok(LogOutput::Stdout),
        _ => Err("must be stderr or stdout"),
    })
}

/// An empty text is none.
pub(super) fn telemetry_listen(layers: &mut Layers) -> Option<SocketAddr> {
    layers
        .optional("telemetry_listen")
        .filter(|text| !text.is_empty())?;
    layers.parsed("telemetry_listen", "", str::parse::<SocketAddr>)
}
