//! What control remembers, one record type a file. Times are milliseconds since 1970 UTC.

mod access_key;
mod activation_key;
mod agent;
mod agent_certificate;
mod answer;
mod authority_rotation;
mod changed_location;
mod deleted_task;
mod eligible;
mod event;
mod execution;
mod execution_log;
mod location;
mod location_agent;
mod log_shipment;
mod manifest;
mod release;
mod report_key;
mod role_key;
mod schedule;
mod sealed;
mod shared_authority;
mod task;
mod task_report;

pub use access_key::Access;
pub(crate) use access_key::AccessKey;
pub(crate) use activation_key::{ActivationKeyRecord, Claim, hash_of};
pub(crate) use agent::{Agent, AgentPresence, Life};
pub(crate) use agent_certificate::AgentCertificate;
pub(crate) use answer::Answer;
pub(crate) use authority_rotation::AuthorityRotation;
pub(crate) use changed_location::ChangedLocation;
pub(crate) use deleted_task::DeletedTask;
pub(crate) use eligible::{Eligible, NOBODY};
pub(crate) use event::{Announced, Delivery, Event, EventQueue, Subject, Warning, WarningKind};
pub(crate) use execution::Execution;
pub(crate) use execution_log::{ExecutionLog, LogChunk, LogSource};
pub(crate) use location::{
    EfsDetails, Location, LocationDetails, NfsDetails, ObjectStorageDetails, Protocol, S3Details,
    StoreAddress,
};
pub(crate) use location_agent::LocationAgent;
pub(crate) use log_shipment::{LogSender, LogShipment};
pub(crate) use manifest::{ManifestConfig, ManifestObject, ManifestSource};
pub(crate) use release::{AgentUpdate, Release, ReleasePart, ReleaseWish};
pub(crate) use report_key::ReportKey;
pub(crate) use role_key::RoleKey;
pub(crate) use schedule::{DisabledBy, FAILURES_MAX, TaskSchedule};
pub(crate) use sealed::{HoldsSecret, for_each_kind_with_secrets};
pub(crate) use shared_authority::SharedAuthority;
pub(crate) use task::{Readiness, Task};
pub(crate) use task_report::{
    ReportBucket, ReportDestination, ReportOverride, ReportOverrides, TaskReportConfig,
};

/// Tags of a resource, by key.
pub(crate) type Tags = std::collections::BTreeMap<String, String>;
