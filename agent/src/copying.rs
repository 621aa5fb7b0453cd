//! `copy` as a command: signals, output, exit codes.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use datasync_agent::{CopyFlags, CopyReport, CopyRequest, CopyStatus, LogOutput, copy};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{EXIT_CONFIGURATION, EXIT_FAILURE, environment, prepare};

/// Done, except for items that failed or differ, or for deletes that were withheld.
const EXIT_INCOMPLETE: u8 = 2;
/// 128 and the number of the signal, as shells have it.
const EXIT_INTERRUPT: u8 = 130;
const EXIT_TERMINATE: u8 = 143;
/// What is left after an end must not hold it up.
const RUNTIME_END: Duration = Duration::from_secs(1);

pub(crate) fn start(flags: &CopyFlags) -> ExitCode {
    let request = match CopyRequest::new(flags, environment()) {
        Ok(request) => request,
        Err(faults) => return fail(EXIT_CONFIGURATION, &faults.to_string()),
    };
    // Standard output is for the summary.
    let (runtime, _) = match prepare(&request.process, LogOutput::Stderr) {
        Ok(prepared) => prepared,
        Err(text) => return fail(EXIT_FAILURE, &text),
    };
    let ended = runtime.block_on(copy_until_signal(&request));
    runtime.shutdown_timeout(RUNTIME_END);
    let (report, signalled) = match ended {
        Ok(ended) => ended,
        Err(Hasty::Signal(code)) => {
            return fail(code, "ended at once; to go on, run the same command again");
        }
        Err(Hasty::NoSignals(error)) => {
            return fail(EXIT_FAILURE, &format!("cannot handle signals: {error}"));
        }
    };
    let code = exit_code(report.status, signalled);
    match print(&report, flags.json) {
        Ok(()) => ExitCode::from(code),
        Err(error) => fail(
            code.max(EXIT_FAILURE),
            &format!("cannot print the end: {error}"),
        ),
    }
}

pub(crate) fn fail(code: u8, text: &str) -> ExitCode {
    eprintln!("datasync-agent: {text}");
    ExitCode::from(code)
}

/// There is no report.
enum Hasty {
    /// A second signal: nobody waits for the end.
    Signal(u8),
    NoSignals(io::Error),
}

/// The report, and the exit code of the signal that came, if one did. The first signal stops the
/// copy in order, a second one at once: the journal is made for that.
async fn copy_until_signal(request: &CopyRequest) -> Result<(CopyReport, Option<u8>), Hasty> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Hasty::NoSignals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Hasty::NoSignals)?;
    let stop = CancellationToken::new();
    let mut copying = Box::pin(copy(request, &stop));
    let mut signalled = None;
    loop {
        let code = tokio::select! {
            report = &mut copying => return Ok((report, signalled)),
            _ = terminate.recv() => EXIT_TERMINATE,
            _ = interrupt.recv() => EXIT_INTERRUPT,
        };
        if signalled.replace(code).is_some() {
            return Err(Hasty::Signal(code));
        }
        tracing::info!("stopping");
        stop.cancel();
    }
}

fn exit_code(status: CopyStatus, signalled: Option<u8>) -> u8 {
    match status {
        CopyStatus::Success => 0,
        CopyStatus::Incomplete => EXIT_INCOMPLETE,
        CopyStatus::Failed => EXIT_FAILURE,
        CopyStatus::Interrupted => signalled.unwrap_or(EXIT_FAILURE),
    }
}

fn print(report: &CopyReport, json: bool) -> io::Result<()> {
    let text = if json {
        report.json()?
    } else {
        report.to_string()
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_documents() {
        for (status, signalled, code) in [
            (CopyStatus::Success, None, 0),
            // Done all the same before the signal was seen.
            (CopyStatus::Success, Some(EXIT_INTERRUPT), 0),
            (CopyStatus::Incomplete, None, 2),
            (CopyStatus::Failed, None, 1),
            (CopyStatus::Failed, Some(EXIT_TERMINATE), 1),
            (CopyStatus::Interrupted, Some(EXIT_INTERRUPT), 130),
            (CopyStatus::Interrupted, Some(EXIT_TERMINATE), 143),
        ] {
            assert_eq!(
                exit_code(status, signalled),
                code,
                "{status:?} {signalled:?}"
            );
        }
    }
}
