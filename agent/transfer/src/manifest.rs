//! Executions that transfer what a manifest lists.
//!
//! A manifest is read once: its lines are decoded ([`csv`]), checked and sorted into the order of
//! keys, and kept in the execution's directory ([`ManifestIntake`]). From then on that file is the
//! manifest, whatever becomes of the object, also for a process that resumes. The walk looks up what
//! it lists and nothing else, and the listing of the destination leaves out what lies between.

mod csv;
mod frozen;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod intake;
mod line;
mod listing;
mod looking;
mod walk;

pub use intake::{ManifestError, ManifestIntake, is_frozen};

pub(crate) use frozen::path as frozen_path;
pub(crate) use listing::list_wanted;
pub(crate) use looking::look_up_wanted;
pub(crate) use walk::ManifestWalk;
