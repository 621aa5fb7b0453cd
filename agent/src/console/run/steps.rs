//! The steps of a command that has several: each is shown before the next one begins.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;

use super::super::app::Event;
use super::super::page::Line;

/// For one program.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a program's complaint that are shown.
const COMPLAINT_MAX: usize = 300;

/// What was done, and where it is shown.
#[derive(Debug)]
pub(super) struct Steps {
    ticket: u64,
    events: mpsc::Sender<Event>,
    lines: Vec<Line>,
}

impl Steps {
    /// Of the command with this ticket.
    pub(super) fn new(ticket: u64, events: mpsc::Sender<Event>) -> Self {
        Self {
            ticket,
            events,
            lines: Vec::new(),
        }
    }

    /// A step that is done.
    pub(super) fn done(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Shows what is done, and what comes now.
    pub(super) async fn begin(&self, step: &str) {
        let mut lines = self.lines.clone();
        lines.push(Line::plain(format!("Please wait: {step}")));
        let ticket = self.ticket;
        // Without a console nobody waits for it.
        self.events
            .send(Event::Progress { ticket, lines })
            .await
            .ok();
    }

    /// Runs a program as the next step.
    pub(super) async fn run(&mut self, words: &[&str]) {
        self.begin(&words.join(" ")).await;
        let line = told(words).await;
        self.done(line);
    }

    /// All that was done.
    pub(super) fn into_lines(self) -> Vec<Line> {
        self.lines
    }
}

async fn told(words: &[&str]) -> Line {
    let shown = words.join(" ");
    let Some((program, arguments)) = words.split_first() else {
        return Line::fail("no command");
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(PROGRAM_TIMEOUT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Line::ok(shown),
        Ok(Ok(output)) => {
            let most = output.stderr.len().min(COMPLAINT_MAX);
            let complaint = String::from_utf8_lossy(&output.stderr[..most]);
            Line::fail(format!("{shown}: {}", complaint.trim()))
        }
        Ok(Err(error)) => Line::fail(format!("{shown}: {error}")),
        Err(_) => Line::fail(format!(
            "{shown}: no end within {} s",
            PROGRAM_TIMEOUT.as_secs()
        )),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Steps that nobody looks at.
    pub(in super::super) fn unseen() -> Steps {
        Steps::new(0, mpsc::channel(1).0)
    }

    #[tokio::test]
    async fn what_it_is_at_is_shown_before_it_ends() {
        let (events, mut shown) = mpsc::channel(8);
        let mut steps = Steps::new(7, events);
        steps.done(Line::ok("6 files written"));
        steps.run(&["true"]).await;
        steps.run(&["sh", "-c", "echo no >&2; exit 3"]).await;
        let mut seen = Vec::new();
        while let Ok(Event::Progress { ticket, lines }) = shown.try_recv() {
            assert_eq!(ticket, 7);
            seen.push(lines.last().unwrap().text.clone());
        }
        assert_eq!(
            seen,
            [
                "Please wait: true",
                "Please wait: sh -c echo no >&2; exit 3"
            ]
        );
        let lines = steps.into_lines();
        assert_eq!(lines[1], Line::ok("true"));
        assert_eq!(lines[2], Line::fail("sh -c echo no >&2; exit 3: no"));
    }
}
