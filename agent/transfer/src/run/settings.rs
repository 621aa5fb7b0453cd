//! How executions are run.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::item_log::LogSink;
use crate::limiter::SharedRate;
use crate::retry::RetryLimits;
use crate::server::Server;

/// How an execution is run; the same for all executions of an agent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the execution may use, in bytes; at least 64 MiB. Half of it holds payloads, a quarter
    /// of that one part: larger ones are read while they are sent.
    pub memory_target_bytes: u64,
    /// Where the identity of the source's root is kept from one execution of the same pair of
    /// locations to the next; `None`: not at all.
    pub history_file: Option<PathBuf>,
    /// Where is kept what is known of every object from one execution of the same pair of locations
    /// to the next; `None`: nowhere, and every object is asked about.
    pub catalog_file: Option<PathBuf>,
    /// Where uploads that could not be aborted are kept for the next execution of the same pair of
    /// locations, which tries again; `None`: they are only named in the result.
    pub owed_aborts_file: Option<PathBuf>,
    /// Where the list of items that were not done is kept, one JSON object a line; `None`: in the
    /// execution's directory.
    pub failures_file: Option<PathBuf>,
    /// Where a dry run writes what would be done, one JSON object a line; `None`: in the execution's
    /// directory.
    pub plan_file: Option<PathBuf>,
    /// The source's server, shared by all executions that read from it.
    pub source_server: Server,
    /// The destination's server, shared by all executions that write to it.
    pub destination_server: Server,
    /// A bandwidth limit for all executions that are given it, on top of each one's own.
    pub shared_rate: Option<SharedRate>,
    /// So many items that failed or differ end the execution; `None`: it always goes on.
    pub failures_max: Option<NonZeroU64>,
    /// What the files of the execution may take together, in bytes; `None`: what is free on their
    /// file system at the start, but for a twentieth of it, at most 1 GiB.
    pub state_disk_max_bytes: Option<u64>,
    /// A run in which nothing moves for so long is given up, to be begun again from its journal.
    /// `None`: it waits for ever.
    pub stalled_after: Option<Duration>,
    /// Takes the lines of the execution's log, if its `LogLevel` wants any; `None`: nobody does.
    pub log: Option<LogSink>,
    /// Retries of a single request.
    pub retries: RetryLimits,
    /// Seeds the jitter of retries.
    pub seed: u64,
    /// Wall clock in seconds since 1970.
    pub now_seconds: fn() -> i64,
    /// CPU time that the process has used; [`Duration::ZERO`] where that is not known.
    pub cpu_time: fn() -> Duration,
}

/// As many as the list of failures keeps: what failed beyond could not be told.
const FAILURES_MAX: u64 = 1_000_000;

/// Longer than any call may take that does not move a whole object.
const STALLED_AFTER: Duration = Duration::from_secs(900);

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_target_bytes: 256 << 20,
            history_file: None,
            catalog_file: None,
            owed_aborts_file: None,
            failures_file: None,
            plan_file: None,
            shared_rate: None,
            failures_max: NonZeroU64::new(FAILURES_MAX),
            stalled_after: Some(STALLED_AFTER),
            source_server: Server::default(),
            destination_server: Server::default(),
            state_disk_max_bytes: None,
            log: None,
            retries: RetryLimits::default(),
            seed: 0,
            now_seconds,
            cpu_time: || Duration::ZERO,
        }
    }
}

fn now_seconds() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
