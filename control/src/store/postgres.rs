//! Rows in PostgreSQL.
//!
//! A transaction that writes locks the row of the generation first, which every commit raises:
//! writers of all replicas take turns as they do on SQLite, so that nothing has to be repeated
//! and generations rise in the order of the commits. One that reads sees a snapshot.

mod expressions;
mod listener;
mod schema;
mod session;
mod settings;
mod statements;
mod target;
mod tls;

pub(super) use listener::Listener;
pub(super) use session::{Begun, Session};
pub use settings::Postgres;
pub(super) use statements::STATEMENTS;
pub(super) use target::Target;
