//! The agent's log, from the system's journal.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::super::page::Line;
use super::World;
use super::scrub::Scrubber;

/// Lines that are asked for.
const LINES: &str = "1000";
/// Bytes that are read at most.
const BYTES_MAX: u64 = 1 << 20;

pub(super) async fn lines(world: &World) -> Vec<Line> {
    match read(world).await {
        Ok(lines) if lines.is_empty() => vec![Line::plain(
            "The journal has no line of datasync-agent. Without systemd, the agent logs to its \
             standard error.",
        )],
        Ok(lines) => lines.into_iter().map(Line::plain).collect(),
        Err(reason) => vec![
            Line::fail(reason),
            Line::plain(
                "The log is read by journalctl. Without systemd, the agent logs to its standard \
                 error: look there.",
            ),
        ],
    }
}

/// The last lines, without secrets.
///
/// # Errors
/// If there is no journal that can be read.
pub(super) async fn read(world: &World) -> Result<Vec<String>, String> {
    let scrubber = Scrubber::new(world.secrets()).map_err(|e| e.to_string())?;
    let text = run().await.map_err(|e| format!("journalctl: {e}"))?;
    Ok(text.lines().map(|line| scrubber.clean(line)).collect())
}

async fn run() -> std::io::Result<String> {
    let mut child = Command::new("journalctl")
        .args(["--unit", "datasync-agent", "--lines", LINES])
        .args(["--output", "short-iso", "--no-pager", "--quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut text = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(BYTES_MAX).read_to_end(&mut text).await?;
    }
    // What is above the bound is not read: the process must not wait for that.
    child.start_kill().ok();
    child.wait().await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
