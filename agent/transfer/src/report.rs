//! What a task report tells of each item. The entries are kept on the agent's own disk along with the
//! journal, so that a run which was killed and goes on tells of each item once.

mod entry;
mod log;
mod teller;

pub use log::ReportEntries;

pub(crate) use entry::{Found, ItemFacts, Reporter};
pub(crate) use log::{REPORT_FILE, VERIFIED_FILE};
pub(crate) use teller::Teller;
