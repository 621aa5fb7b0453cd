//! What control tells over HTTP of its health and its work.

mod catalogue;
mod meters;
mod rows;
mod source;

pub(crate) use meters::Meters;
pub(crate) use source::ControlSource;
