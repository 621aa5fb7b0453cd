//! `datasync-agent update`: gives a bundle to the agent that runs, and waits for the outcome.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use datasync_model::{ReleaseVersion, UpdateState};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use super::door::{Answer, Ask, LINE_BYTES_MAX, SOCKET};
use crate::local;

const POLL: Duration = Duration::from_millis(500);
/// Beside the time that a release has to reach control: for starts that fail, and those after them.
const STARTS_TIME: Duration = Duration::from_secs(120);

/// What is asked of the agent.
#[derive(Debug, Clone)]
pub struct UpdateOptions {
    /// The agent's.
    pub state_dir: PathBuf,
    /// How long a release may take to reach control.
    pub trial: Duration,
    /// The bundle; `-` is standard input, `None` the packaged program.
    pub file: Option<PathBuf>,
    /// Executions stop at a checkpoint; otherwise their end is waited for.
    pub drain: bool,
    /// Whether the release may be older than the one that runs.
    pub allow_downgrade: bool,
    /// How long the end of executions is waited for.
    pub wait: Duration,
}

/// Why there was no update.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The bundle cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// No agent to give it to.
    #[error("{0}: an update is given to the agent that runs, by its user or root")]
    NoAgent(String),
    /// The agent says why not.
    #[error("{0}")]
    Refused(String),
    /// It ran, and did not reach control.
    #[error("{version} was taken back: {reason}")]
    RolledBack {
        /// The release.
        version: ReleaseVersion,
        /// Why.
        reason: String,
    },
    /// The agent cannot be asked any more.
    #[error("{version} was started, and the agent has not said how it went for {seconds} s")]
    Unknown {
        /// The release.
        version: ReleaseVersion,
        /// How long it was asked.
        seconds: u64,
    },
}

/// Carries an update out; `tell` is told of each step, in a sentence. Returns once the release has
/// reached control, or the agent has begun to start anew as the packaged program.
///
/// # Errors
/// [`UpdateError`]
pub async fn update(options: &UpdateOptions, tell: impl Fn(&str)) -> Result<(), UpdateError> {
    let gone = |error: std::io::Error| UpdateError::NoAgent(error.to_string());
    let path = options.state_dir.join(SOCKET);
    let stream = UnixStream::connect(&path).await;
    let stream = stream.map_err(|error| {
        UpdateError::NoAgent(format!("no agent answers at {} ({error})", path.display()))
    })?;
    let (reader, mut writer) = stream.into_split();
    let ask = Ask {
        packaged: options.file.is_none(),
        drain: options.drain,
        allow_downgrade: options.allow_downgrade,
        wait_seconds: options.wait.as_secs(),
    };
    let mut line = serde_json::to_vec(&ask).map_err(|e| gone(std::io::Error::other(e)))?;
    line.push(b'\n');
    writer.write_all(&line).await.map_err(gone)?;
    if let Some(file) = &options.file {
        send(file, &mut writer).await?;
    }
    // The agent may have refused it before its end, and is gone then: it says why.
    writer.shutdown().await.ok();
    let answers = hear(reader, &tell).await?;
    match answers {
        Heard::Done => Ok(()),
        Heard::Starting(None) => {
            tell("the agent starts anew with the packaged program");
            Ok(())
        }
        Heard::Starting(Some(version)) => {
            tell(&format!(
                "{version} starts; waiting until it has reached control"
            ));
            outcome(options, version).await
        }
    }
}

async fn send(file: &Path, writer: &mut OwnedWriteHalf) -> Result<(), UpdateError> {
    let failed = |source| UpdateError::File {
        path: file.display().to_string(),
        source,
    };
    let bundle = if file == Path::new("-") {
        let standard_input = std::io::stdin().as_fd().try_clone_to_owned();
        standard_input.map(|input| tokio::fs::File::from_std(input.into()))
    } else {
        tokio::fs::File::open(file).await
    };
    copy(&mut bundle.map_err(failed)?, writer)
        .await
        .map_err(failed)
}

/// Errors are those of reading: an agent that takes no more has its reasons, and tells them.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    writer: &mut OwnedWriteHalf,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 || writer.write_all(&buffer[..count]).await.is_err() {
            return Ok(());
        }
    }
}

enum Heard {
    Done,
    /// The connection ends with the agent's process.
    Starting(Option<ReleaseVersion>),
}

async fn hear(reader: OwnedReadHalf, tell: &impl Fn(&str)) -> Result<Heard, UpdateError> {
    let mut installed = None;
    let mut lines = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = (&mut lines).take(most).read_until(b'\n', &mut line).await;
        if !read.is_ok_and(|count| count > 0) {
            return match installed {
                Some(version) => Ok(Heard::Starting(Some(version))),
                None => Err(UpdateError::NoAgent("the agent ended".to_owned())),
            };
        }
        let answer: Answer = serde_json::from_slice(&line)
            .map_err(|error| UpdateError::NoAgent(format!("the agent's answer: {error}")))?;
        match answer {
            Answer::Installed { version } => {
                tell(&format!("{version} is verified and installed"));
                installed = Some(version);
            }
            Answer::Waiting { executions } => {
                tell(&format!("waiting for the end of {executions} executions"));
            }
            Answer::Starting => return Ok(Heard::Starting(installed)),
            Answer::Done => {
                tell("the packaged program runs already");
                return Ok(Heard::Done);
            }
            Answer::Failed { reason } => return Err(UpdateError::Refused(reason)),
        }
    }
}

/// Asks the agent until it knows.
async fn outcome(options: &UpdateOptions, version: ReleaseVersion) -> Result<(), UpdateError> {
    let patience = options.trial + STARTS_TIME;
    let end = Instant::now() + patience;
    while Instant::now() < end {
        // It does not answer while it starts.
        if let Ok(snapshot) = local::ask(&options.state_dir).await
            && snapshot.update.version.as_ref() == Some(&version)
        {
            match snapshot.update.state {
                UpdateState::Confirmed => return Ok(()),
                UpdateState::RolledBack => {
                    let reason = snapshot.update.detail.unwrap_or_default();
                    return Err(UpdateError::RolledBack { version, reason });
                }
                _ => {}
            }
        }
        tokio::time::sleep(POLL).await;
    }
    Err(UpdateError::Unknown {
        version,
        seconds: patience.as_secs(),
    })
}
