//! `datasync-control report`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{CliError, print};
use crate::admin;
use crate::reports::check;
use crate::state::StatePlace;

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Print the public keys that reports are verified with, as JSON; control serves the same at
    /// /report-keys
    Keys,
    /// Countersign later reports with a new key, whose id is printed; the old one stays published
    RotateKey,
    /// Verify reports offline: nothing but their files and the public keys is needed
    Verify {
        /// Files of reports, or folders with them, as they are in the bucket or arranged otherwise
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// What `report keys` printed or /report-keys answered
        #[arg(long)]
        keys: PathBuf,
    },
}

pub(super) async fn run(place: StatePlace, command: ReportCommand) -> Result<(), CliError> {
    match command {
        ReportCommand::Keys => print(&json!(admin::report_keys(place).await?).to_string()),
        ReportCommand::RotateKey => print(&admin::rotate_report_key(place).await?),
        ReportCommand::Verify { paths, keys } => verify(&paths, &keys),
    }
}

/// Tells of each report; the exit code is that of the first finding.
pub(super) fn verify(paths: &[PathBuf], keys: &Path) -> Result<(), CliError> {
    let mut code = None;
    for verdict in check(paths, keys)? {
        print(&verdict.to_string())?;
        code = code.or(verdict.exit_code());
    }
    code.map_or(Ok(()), |code| Err(CliError::Unverified(code)))
}
