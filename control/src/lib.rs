//! The control plane: DataSync API for clients, sessions with agents, scheduling, state.

mod admin;
mod agent_port;
mod agent_side;
mod api;
mod audit;
mod auth;
mod backup;
mod ca;
mod ca_rotation;
mod cli;
mod cloudwatch;
mod config;
mod credentials;
mod disk;
mod egress;
mod enrollment;
mod events;
mod expiry;
mod fleet;
mod history;
mod logs;
mod open_files;
mod records;
mod releases;
mod reports;
mod rolling;
mod scheduler;
mod schedules;
mod sealing_key;
mod serve;
mod served_certificate;
mod state;
mod store;
mod strangers;
#[cfg(test)]
mod stuck;
mod telemetry;
mod turn;
mod uuid;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing {
    //! What the fuzz targets of `tests/fuzz` call.
    pub use crate::api::fuzzing::{api_input, page_token};
    pub use crate::auth::fuzzing::signature;
}

pub use admin::{
    AccessKeyEntry, AdminError, NewAccessKey, NewActivationKey, RoleKeySetting, create_access_key,
    create_activation_key, delete_access_key, disable_access_key, list_access_keys, set_role_key,
    show_ca,
};
pub use backup::{BackupError, back_up, renew_incarnation, restore};
pub use ca::CaError;
pub use ca_rotation::{CaRotationError, CaStatus, Lacking, ca_status, rotate_ca};
pub use cli::{command, run};
pub use config::{
    ApiConnections, ApiSecurity, Config, ConfigError, LogFormat, LogOutput, OtlpSettings, Outputs,
    Role, RoleKind,
};
pub use egress::Egress;
pub use events::{Webhook, WebhookError};
pub use records::Access;
pub use rolling::RollingSettings;
pub use sealing_key::{
    NoSuchStep, SealedAnew, SealingKeyError, forget_sealing_key, prepare_sealing_key,
    rotate_sealing_key,
};
pub use serve::{ServeError, Serving, serve};
pub use state::StatePlace;
pub use store::{Database, Postgres};
