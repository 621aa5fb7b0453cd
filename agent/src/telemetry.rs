//! What the agent tells of its health and its work, over HTTP and to a collector.

mod catalogue;
mod files;
mod instance;
mod resources;
mod source;
mod tally;

pub(crate) use instance::resource;
pub(crate) use resources::tell_resources;
pub(crate) use source::{AgentSource, Sources};
pub(crate) use tally::{Account, Tally};
