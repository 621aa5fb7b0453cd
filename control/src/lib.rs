//! The control plane: DataSync API for clients, sessions with agents, scheduling, state.

mod agent_port;
mod agent_side;
mod ca;
mod config;
mod credentials;
mod enrollment;
mod fleet;
mod records;
mod scheduler;
mod state;
mod store;

pub use ca::CaError;
pub use config::{ApiSecurity, Config, ConfigError, LogFormat, Role, RoleKind};
