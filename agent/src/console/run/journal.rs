//! The agent's log, from the system's journal.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::super::page::Line;
use super::World;
use super::scrub::Scrubber;

/// Lines that are asked for.
const LINES: &str = "1000";
/// Bytes of them that are kept at most.
const BYTES_MAX: usize = 1 << 20;
/// So long journalctl may take: a disk may hang.
const READ_MAX: Duration = Duration::from_secs(60);
/// Bytes of what journalctl complains about.
const ERROR_BYTES_MAX: usize = 1 << 10;

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
    let read = tokio::time::timeout(READ_MAX, run()).await;
    let text = read
        .map_err(|_| format!("journalctl: no end within {} s", READ_MAX.as_secs()))?
        .map_err(|e| format!("journalctl: {e}"))?;
    Ok(text.lines().map(|line| scrubber.clean(line)).collect())
}

async fn run() -> io::Result<String> {
    let mut child = Command::new("journalctl")
        .args(["--unit", "datasync-agent", "--lines", LINES])
        .args(["--output", "short-iso", "--no-pager", "--quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (text, errors) = tokio::join!(tail(output, BYTES_MAX), tail(errors, ERROR_BYTES_MAX));
    let (text, errors) = (text?, errors?);
    let status = child.wait().await?;
    if status.success() {
        Ok(text)
    } else {
        Err(io::Error::other(format!("{status}: {}", errors.trim())))
    }
}

/// The last `most` bytes, from the beginning of a line: the newest lines are those that are looked for.
async fn tail(output: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<String> {
    let Some(mut output) = output else {
        return Ok(String::new());
    };
    let (mut kept, mut is_cut) = (BytesMut::new(), false);
    while output.read_buf(&mut kept).await? > 0 {
        if kept.len() > 2 * most {
            kept.advance(kept.len() - most);
            is_cut = true;
        }
    }
    if kept.len() > most {
        kept.advance(kept.len() - most);
        is_cut = true;
    }
    if is_cut {
        let line = kept.iter().position(|byte| *byte == b'\n');
        kept.advance(line.map_or(0, |end| end + 1));
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_left_out_at_the_beginning() {
        for (most, left) in [
            (100, "one\ntwo\nthree\n"),
            (11, "two\nthree\n"),
            (10, "three\n"),
            (6, ""),
            (3, ""),
        ] {
            let text = tail(Some(&b"one\ntwo\nthree\n"[..]), most).await.unwrap();
            assert_eq!(text, left, "{most}");
        }
        assert_eq!(tail(None::<&[u8]>, 1).await.unwrap(), "");
    }
}
