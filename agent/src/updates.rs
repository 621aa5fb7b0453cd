//! Updates of this program: signed bundles, installed in the state directory, tried, and taken back
//! where they do not reach control.
//!
//! The packaged program stays what is started, and what is fallen back on: [`boot`] looks which
//! release is to run and becomes it. Why it is built so is in `docs/adr/0015-updates.md`.

mod boot;
mod bundle;
mod client;
mod desk;
mod disk;
mod door;
mod fetch;
mod keys;
mod shelf;
mod standing;
mod told;

pub use boot::{Running, boot, is_on_trial, restart};
pub use client::{UpdateError, UpdateOptions, update};
pub(crate) use desk::{Surroundings, Updates};
pub(crate) use door::{listen, serve};
pub use keys::ReleaseKeys;
pub(crate) use told::UpdateTold;

use std::time::Duration;

/// What the configuration says of updates.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    /// Whose signatures count; none: every update is refused.
    pub keys: ReleaseKeys,
    /// How long an update may take to reach control before it is taken back.
    pub trial: Duration,
}

#[cfg(test)]
mod tests;
