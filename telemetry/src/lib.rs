//! What agent and control tell whoever operates them: whether they live, whether they are ready,
//! metrics, in the text format of Prometheus for whoever asks and by OTLP to a collector, and a log
//! whose level can be changed.
//!
//! Values are read when they are asked for; nothing here runs in a hot path. Nothing is global but
//! the log, which a process has one of.

mod histogram;
mod log;
mod metric;
mod otlp;
mod page;
mod process;
mod pulses;
mod server;
mod text;
mod watchdog;

pub use histogram::{Histogram, LATENCY_SECONDS};
pub use log::{LogError, LogFormat, LogLevel, LogOutput, LogSettings, check_filter, init};
pub use metric::{Kind, Metric};
pub use otlp::{
    CollectorUrl, Headers, OtlpSettings, Resource, interval as otlp_interval, push as push_metrics,
    read_headers as read_otlp_headers,
};
pub use page::{Page, Value};
pub use process::{cpu_seconds, free_bytes, resident_bytes};
pub use pulses::Pulses;
pub use server::{ListenError, Source, listen, serve};
pub use watchdog::feed as feed_watchdog;
