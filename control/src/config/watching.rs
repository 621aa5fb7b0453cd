//! Settings of those who watch control: the log, and where and to whom health and metrics are told.

use std::net::SocketAddr;

use datasync_telemetry::{
    CollectorUrl, LogFormat, LogOutput, OtlpSettings, check_filter, otlp_interval,
    read_otlp_headers,
};

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

/// An empty endpoint is none. What is wrong with the file of headers is told without its content.
pub(super) fn otlp(layers: &mut Layers, ca_bundle: Option<String>) -> Option<OtlpSettings> {
    let interval = layers.parsed("otlp_interval_seconds", "60", otlp_interval);
    let headers = layers.optional("otlp_headers_file").map(|path| {
        read_otlp_headers(&path)
            .map_err(|fault| layers.fault(format!("otlp_headers_file: {fault}")))
            .unwrap_or_default()
    });
    let url = layers
        .optional("otlp_endpoint")
        .filter(|url| !url.is_empty())?;
    let endpoint = CollectorUrl::parse(&url)
        .map_err(|fault| layers.fault(format!("otlp_endpoint: {fault}")))
        .ok();
    Some(OtlpSettings {
        endpoint: endpoint?,
        interval: interval?,
        headers: headers.unwrap_or_default(),
        ca_bundle,
    })
}
