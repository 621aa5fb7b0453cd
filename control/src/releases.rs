//! Releases of the agent, as an administrator sees them: bundles that agents can fetch, which of them
//! agents should run, and what came of it. Works on the rows, also while control serves from them.

mod bundles;
mod wishes;

pub(crate) use bundles::{add_release, list_releases, remove_release};
pub(crate) use wishes::{NewWish, list_agents, set_release};

#[cfg(test)]
mod tests;
