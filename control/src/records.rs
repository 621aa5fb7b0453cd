//! What control remembers, one record type a file. Times are milliseconds since 1970 UTC.

mod access_key;
mod activation_key;
mod agent;
mod answer;
mod eligible;
mod event;
mod execution;
mod location;
mod role_key;
mod schedule;
mod task;

pub use access_key::Access;
pub(crate) use access_key::AccessKey;
pub(crate) use activation_key::{ActivationKeyRecord, Claim, hash_of};
pub(crate) use agent::{Agent, AgentPresence};
pub(crate) use answer::Answer;
pub(crate) use eligible::{Eligible, NOBODY};
pub(crate) use event::{Announced, Delivery, Event, EventQueue, Subject};
pub(crate) use execution::Execution;
pub(crate) use location::{
    EfsDetails, Location, LocationDetails, NfsDetails, ObjectStorageDetails, Protocol, S3Details,
    StoreAddress,
};
pub(crate) use role_key::RoleKey;
pub(crate) use schedule::{DisabledBy, FAILURES_MAX, TaskSchedule};
pub(crate) use task::{Readiness, Task};

/// Tags of a resource, by key.
pub(crate) type Tags = std::collections::BTreeMap<String, String>;
