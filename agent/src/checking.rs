//! `check` as a command: output, exit codes.

use std::io::{self, Write as _};
use std::process::ExitCode;

use datasync_agent::{CheckFlags, CheckRequest, Checked, LogOutput, check};

use crate::copying::fail;
use crate::{EXIT_CONFIGURATION, EXIT_FAILURE, LAST_TASKS, environment, prepare};

pub(crate) fn start(flags: &CheckFlags) -> ExitCode {
    let request = match CheckRequest::new(flags, environment()) {
        Ok(request) => request,
        Err(faults) => return fail(EXIT_CONFIGURATION, &faults.to_string()),
    };
    // Standard output is for what was found.
    let (runtime, _) = match prepare(&request.process, LogOutput::Stderr) {
        Ok(prepared) => prepared,
        Err(text) => return fail(EXIT_FAILURE, &text),
    };
    let checked = runtime.block_on(check(&request));
    runtime.shutdown_timeout(LAST_TASKS);
    match print(&checked, flags.json) {
        Ok(()) if checked.is_usable() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(EXIT_FAILURE),
        Err(error) => fail(
            EXIT_FAILURE,
            &format!("cannot print what was found: {error}"),
        ),
    }
}

fn print(checked: &Checked, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", checked.json()?)?;
    } else {
        writeln!(out, "{checked}")?;
    }
    out.flush()
}
