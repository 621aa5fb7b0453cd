//! The gRPC contract between agents and control, and its conversions to the model.

#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::large_futures,
    clippy::too_many_lines
)]
mod generated {
    tonic::include_proto!("datasync.agent.v1");
}

mod bundle;
mod convert;
mod report;

pub use bundle::{
    BUNDLE_BYTES_MAX, BUNDLE_FORMAT, BUNDLE_HEADER_BYTES_MAX, BundleError, BundleHeader,
    BundleManifest, KEY_ID_DIGITS, PROGRAM_BYTES_MAX,
};
pub use convert::Malformed;
pub use generated::*;
/// Encodes and decodes messages.
pub use prost::Message;

/// The largest message either side accepts, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most of a release's bundle in one [`ReleasePart`], in bytes.
pub const RELEASE_PART_BYTES_MAX: usize = 192 * 1024;

/// The largest message that control accepts from an agent without a certificate, in bytes.
pub const ENROLLMENT_MESSAGE_BYTES_MAX: usize = 16 * 1024;
