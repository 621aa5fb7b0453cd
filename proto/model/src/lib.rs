//! The vocabulary that control and agent share: ids, options, filters, states, specs, counters.
//!
//! Everything here is a value or a pure function of values. No I/O, no clock, no randomness.

mod ability;
mod activation_key;
mod amount;
mod arn;
mod checksum_algorithm;
mod counters;
mod delete_share;
mod extended_metadata;
mod extensions;
mod failure;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod location;
mod log;
mod manifest;
mod merkle;
mod name_encoding;
mod operator;
mod options;
mod plan;
mod proxy;
mod rate;
mod release;
mod report;
mod schedule;
mod signed_report;
mod spec;
mod status;
mod task_report;
mod telemetry;
mod tenure;
mod timetable;
mod word;

pub use ability::{Ability, ControlAbility};
pub use activation_key::{ActivationKey, KEY_LIFETIME_SECONDS, MalformedKey};
pub use amount::{NotAnAmount, parse_bytes};
pub use arn::{
    AccountId, AgentArn, ArnError, Home, LocationArn, Partition, Region, TaskArn, TaskExecutionArn,
    UniqueId,
};
pub use checksum_algorithm::ChecksumAlgorithm;
pub use counters::Counters;
pub use delete_share::{DeleteShareMax, NotAShare};
pub use extended_metadata::{Acls, Xattrs};
pub use extensions::Extensions;
pub use failure::{ErrorCode, Failure};
pub use filter::{Excludes, FilterError, Includes, Scope};
pub use location::{EfsLocation, Location, NfsLocation, NfsVersion, S3Location, StorageClass};
pub use log::{LOG_BYTES_MAX, LOG_LINES_MAX, LogLine, Severity};
pub use manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestAction, ManifestFormat};
pub use merkle::{Digest, MerkleTree, NotADigest};
pub use name_encoding::NameEncoding;
pub use operator::Operator;
pub use options::{
    Atime, BytesPerSecond, Gid, LogLevel, Mtime, ObjectMetadata, ObjectTags, Options, OptionsError,
    OptionsOverride, OverwriteMode, Pair, PosixPermissions, PreserveDeletedFiles, PreserveDevices,
    SecurityDescriptorCopyFlags, TaskMode, TaskQueueing, TransferMode, Uid, VerifyMode,
};
pub use plan::{Plan, PlannedRequests, time_at};
pub use proxy::{NotAProxy, Proxy};
pub use rate::Rate;
pub use release::{NotAVersion, ReleaseVersion, UpdateState};
pub use report::{ExecutionReport, ExecutionResult, PhaseStatus, ReportResult};
pub use schedule::{EXPRESSION_CHARACTERS_MAX, Schedule, ScheduleError};
pub use signed_report::{
    AgentSignature, ControlSignature, ObjectTree, ReportObject, ReportStatement, SignedReport,
};
pub use spec::ExecutionSpec;
pub use status::{AgentStatus, ExecutionEvent, ExecutionStatus, Refused, TaskStatus};
pub use task_report::{ObjectVersionIds, ReportKind, ReportLevel, ReportOutputType, TaskReport};
pub use telemetry::{Bottleneck, RequestCounts, Telemetry, TimeLeft};
pub use tenure::Tenure;
pub use timetable::{BandwidthTimetable, TimetableError};
pub use word::UnknownWord;
