//! What the agent tells over HTTP of its health and its work.

mod catalogue;
mod files;
mod resources;
mod source;
mod tally;

pub(crate) use resources::tell_resources;
pub(crate) use source::{AgentSource, Sources};
pub(crate) use tally::{Account, Tally};
