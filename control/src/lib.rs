//! The control plane: DataSync API for clients, sessions with agents, scheduling, state.

mod admin;
mod agent_port;
mod agent_side;
mod api;
mod audit;
mod auth;
mod backup;
mod ca;
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
mod records;
mod reports;
mod rolling;
mod scheduler;
mod schedules;
mod serve;
mod served_certificate;
mod state;
mod store;
mod turn;
mod uuid;

pub use admin::{
    AccessKeyEntry, AdminError, NewAccessKey, NewActivationKey, RoleKeySetting, create_access_key,
    create_activation_key, delete_access_key, disable_access_key, list_access_keys, set_role_key,
    show_ca,
};
pub use backup::{BackupError, back_up, renew_incarnation, restore};
pub use ca::CaError;
pub use cli::run;
pub use config::{ApiSecurity, Config, ConfigError, LogFormat, Outputs, Role, RoleKind};
pub use egress::Egress;
pub use events::{Webhook, WebhookError};
pub use records::Access;
pub use rolling::RollingSettings;
pub use serve::{ServeError, Serving, serve};
pub use state::StatePlace;
pub use store::{Database, Postgres};
