//! Simulation: the real engine and journal between in-memory ends, in virtual time, with faults at
//! every seam. Everything follows from one seed, and the same seed gives the same run.
//!
//! A seed stands for a [`Scenario`]: a history of executions with changes between them. After each the
//! bucket and the report are compared with the reference model (`tests/model`), and the invariants of
//! the architecture are checked. See `docs/testing.md`.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test support: what cannot be set up must fail loudly"
)]

mod changes;
mod crash;
mod faults;
mod history;
mod invariants;
mod ledger;
mod process;
mod random;
mod runtime;
mod scenario;
mod shrink;
mod trace;
mod world;

pub use faults::{Counts, KINDS};
pub use history::{Outcome, simulate};
pub use random::Random;
pub use runtime::run as run_deterministically;
pub use scenario::Scenario;
pub use shrink::shrunk;
