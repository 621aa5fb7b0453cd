//! The DataSync API: AWS JSON 1.1 over HTTP, from `X-Amz-Target` to a handler.
//!
//! Every operation decodes, checks, decides within one transaction, commits, answers.

mod agents;
mod arns;
mod body;
mod call;
mod check;
mod error;
mod executions;
mod extensions;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod http;
mod locations;
mod operations;
mod page;
mod request;
mod shapes;
mod side_bucket;
mod tags;
mod tasks;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{AgentArn, Home};

pub(crate) use body::BodyRoom;
pub(crate) use executions::start_scheduled;
pub(crate) use http::{Limits, SeatLimits, serve};
pub(crate) use tasks::keep_retrying;

use crate::audit::Audit;
use crate::config::{Config, Role};
use crate::credentials::CredentialService;
use crate::store::{Sealer, Store};
use crate::telemetry::Meters;

/// What the operations need to know of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) home: Home,
    pub(crate) default_agents: Vec<AgentArn>,
    pub(crate) executions_per_agent: NonZeroU32,
    /// The shortest time between two starts of a schedule.
    pub(crate) schedule_interval_min: Duration,
    pub(crate) roles: Vec<Role>,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            home: config.home.clone(),
            default_agents: config.default_agents.clone(),
            executions_per_agent: config.executions_per_agent,
            schedule_interval_min: config.schedule_interval_min,
            roles: config.roles.clone(),
        }
    }
}

/// Everything the operations work on.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) credentials: Arc<CredentialService>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) body_room: BodyRoom,
    pub(crate) meters: Arc<Meters>,
}
