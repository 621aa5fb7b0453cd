//! The engine: walk, merge, plan, move, verify, journal.
//!
//! An execution reads the source and the listing of the destination as two streams in key order
//! ([`run`]), decides for each key (`plan`), moves what differs (`mover`) and remembers what is
//! done (`journal`), so that a killed process goes on where it was.
//! What it learns of the objects is kept for the next one (`catalog`).

mod attempts;
mod bottleneck;
mod budget;
mod catalog;
mod deletes;
mod disk;
mod estimate;
mod extended;
mod failures;
mod forecast;
mod history;
mod item_log;
mod journal;
mod lanes;
mod limiter;
mod links;
mod listing;
mod locate;
mod lookups;
mod manifest;
mod merge;
mod mover;
mod outcome;
mod outlook;
mod owed;
mod paged;
mod plan;
mod planned;
mod progress;
mod read;
mod report;
mod retry;
mod run;
mod server;
mod silence;
mod sorter;
mod uploads;
mod verify;
mod waits;
mod walk;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use manifest::fuzzing;

pub use failures::{FAILURES_FILE, ListedItem, Verdict, first_listed};
pub use item_log::{LogEntry, LogSink};
pub use limiter::SharedRate;
pub use manifest::{ManifestError, ManifestIntake, is_frozen as has_manifest};
pub use planned::{PLAN_FILE, PlannedAction, PlannedItem};
pub use report::ReportEntries;
pub use retry::RetryLimits;
pub use run::{Controls, Interrupted, Settings, let_go, run, with_open_uploads};
pub use server::{Server, ServerLimits};
