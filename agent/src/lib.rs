//! The agent: activates, keeps a session with control, and runs the executions that control asks
//! for against NFS servers and S3 stores.
//!
//! Nothing here is global: several agents can run in one process, each with a state directory of
//! its own.

mod activation;
mod appliance;
pub mod arguments;
mod backoff;
mod cgroup;
mod check;
mod config;
mod console;
mod copy;
mod countersigning;
mod credentials;
mod efs;
mod endpoints;
mod executions;
mod firstboot;
mod health;
mod host;
mod identity;
mod idle;
mod lease;
mod link;
mod local;
mod logging;
mod logs;
mod probe;
mod progress_line;
mod renewal;
mod servers;
mod session;
mod state;
mod store_flags;
mod supervisor;
mod telemetry;
mod updates;
mod urls;

pub use check::{CheckFlags, CheckRequest, Checked, check};
pub use config::{
    CONFIG_FILE_VARIABLE, Config, ConfigFaults, ControlAddress, ControlAddresses, ControlTrust,
    EgressSettings, Layers, NfsSettings, Overrides, PrivilegedPorts, ProcessFlags, ProcessSettings,
    ReadError, Reloaded, RunAs, S3Settings, SharedOwners,
};
pub use console::{ConsoleError, ConsoleSettings, console};
pub use copy::{CopyFlags, CopyReport, CopyRequest, CopyStatus, copy};
pub use datasync_telemetry::{LogFormat, LogLevel, LogOutput, Pulses, feed_watchdog};
pub use firstboot::{Firstboot, FirstbootSettings, SeedFaults, firstboot};
pub use health::{Unhealthy, check_health};
pub use idle::{Busy, check_idle};
pub use logging::init_logging;
pub use progress_line::{Pace, ProgressDisplay, Standing};
pub use state::StateError;
pub use supervisor::{Ending, Phase, RunError, run, run_observed, run_updatable};
pub use updates::{
    ReleaseKeys, Running, UpdateError, UpdateOptions, UpdateSettings, boot, is_on_trial, restart,
    update,
};
pub use urls::{NfsUrl, S3Url, StoreUrl, UrlError};

/// The version that the agent reports to control.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
