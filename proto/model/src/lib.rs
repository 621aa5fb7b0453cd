//! The vocabulary that control and agent share: ids, options, filters, states, specs, counters.
//!
//! Everything here is a value or a pure function of values. No I/O, no clock, no randomness.

mod activation_key;
mod arn;
mod counters;
mod failure;
mod filter;
mod location;
mod options;
mod report;
mod schedule;
mod spec;
mod status;
mod word;

pub use activation_key::{ActivationKey, KEY_LIFETIME_SECONDS, MalformedKey};
pub use arn::{
    AccountId, AgentArn, ArnError, Home, LocationArn, Partition, Region, TaskArn, TaskExecutionArn,
    UniqueId,
};
pub use counters::Counters;
pub use failure::{ErrorCode, Failure};
pub use filter::{Excludes, FilterError, Includes, Scope};
pub use location::{Location, NfsLocation, NfsVersion, S3Location, StorageClass};
pub use options::{
    Atime, BytesPerSecond, Gid, LogLevel, Mtime, ObjectTags, Options, OptionsError,
    OptionsOverride, OverwriteMode, Pair, PosixPermissions, PreserveDeletedFiles, PreserveDevices,
    SecurityDescriptorCopyFlags, TaskMode, TaskQueueing, TransferMode, Uid, VerifyMode,
};
pub use report::{ExecutionReport, ExecutionResult, PhaseStatus};
pub use schedule::{EXPRESSION_CHARACTERS_MAX, Schedule, ScheduleError};
pub use spec::ExecutionSpec;
pub use status::{AgentStatus, ExecutionEvent, ExecutionStatus, Refused, TaskStatus};
pub use word::UnknownWord;
