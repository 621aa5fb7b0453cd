//! Metrics pushed to a collector by OTLP over gRPC, where one is configured.
//!
//! The page of metrics is read once for each push and is gone after it: nothing is queued, one
//! request is in flight at a time, and one that fails is not repeated before the next is due.

mod convert;
mod push;
mod settings;

pub use convert::Resource;
pub use push::push;
pub use settings::{CollectorUrl, Headers, OtlpSettings, interval, read_headers};

/// OTLP's messages, as `proto/otlp.proto` has them.
#[allow(
    unreachable_pub,
    clippy::all,
    missing_debug_implementations,
    reason = "generated"
)]
mod messages {
    tonic::include_proto!("opentelemetry.proto.collector.metrics.v1");
}
