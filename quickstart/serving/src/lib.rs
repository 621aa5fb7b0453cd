//! How the embedded servers take connections, and how they run as programs of their own.

mod connections;
mod program;

pub use connections::connections;
pub use program::Program;
