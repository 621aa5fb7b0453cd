//! Rows in PostgreSQL.
//!
//! A transaction that writes locks the row of the generation first, which every commit raises:
//! writers of all replicas take turns as they do on SQLite, so that nothing has to be repeated
//! and generations rise in the order of the commits. One that reads sees a snapshot.

mod listener;
mod schema;
mod session;
mod settings;
mod target;
mod tls;

pub(super) use listener::Listener;
pub(super) use schema::{CHILDREN, DUE_TASKS, ENDED_EXECUTIONS, LIVE_EXECUTIONS};
pub(super) use session::{Begun, Session};
pub use settings::Postgres;
pub(super) use target::Target;
