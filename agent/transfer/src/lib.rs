//! The engine: walk, merge, plan, move, verify, journal.
//!
//! An execution reads the source and the listing of the destination as two streams in key order
//! ([`run`]), decides for each key (`plan`), moves what differs (`mover`) and remembers what is
//! done (`journal`), so that a killed process goes on where it was.
//! What it learns of the objects is kept for the next one (`catalog`).

mod attempts;
mod budget;
mod catalog;
mod deletes;
mod disk;
mod failures;
mod history;
mod journal;
mod lanes;
mod limiter;
mod listing;
mod locate;
mod merge;
mod mover;
mod outcome;
mod owed;
mod paged;
mod plan;
mod progress;
mod read;
mod retry;
mod run;
mod sorter;
mod uploads;
mod verify;
mod walk;

pub use failures::{FAILURES_FILE, ListedItem, Verdict, first_listed};
pub use retry::RetryLimits;
pub use run::{Controls, Interrupted, Settings, run, with_open_uploads};
