//! Sends lines to control within one session: one part after the other, each until control has it.

use std::time::Duration;

use datasync_model::ControlAbility;
use datasync_proto::{LogKept, LogLines};
use tokio::time::Instant;

use super::Logs;
use super::file::Place;

/// Parts are at least so far apart: each is a commit of control's.
const PACE: Duration = Duration::from_secs(1);
/// A part that control does not answer is sent again.
const REPEAT: Duration = Duration::from_secs(30);

/// A part that is on its way.
#[derive(Debug)]
struct Sent {
    execution_id: String,
    log_id: String,
    end: Place,
    at: Instant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Courier {
    logs: Logs,
    /// An older control does not keep logs.
    is_wanted: bool,
    sent: Option<Sent>,
    not_before: Instant,
    /// The execution whose turn was last.
    last: Option<String>,
}

impl Courier {
    /// `abilities` are control's.
    pub(crate) fn new(logs: &Logs, abilities: &[String]) -> Self {
        Self {
            logs: logs.clone(),
            is_wanted: abilities
                .iter()
                .any(|word| word == ControlAbility::KeepLogs.as_str()),
            sent: None,
            not_before: Instant::now(),
            last: None,
        }
    }

    /// Waits until a part is to be sent. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> LogLines {
        if !self.is_wanted {
            return std::future::pending().await;
        }
        if let Some(sent) = &self.sent {
            tokio::time::sleep_until(sent.at + REPEAT).await;
            self.sent = None;
        }
        tokio::time::sleep_until(self.not_before).await;
        loop {
            let Some((execution_id, kept, batch)) = self.logs.unsent(self.last.as_deref()).await
            else {
                self.logs.0.news.notified().await;
                continue;
            };
            let now = Instant::now();
            self.not_before = now + PACE;
            self.last = Some(execution_id.clone());
            self.sent = Some(Sent {
                execution_id,
                log_id: kept.log_id.clone(),
                end: batch.end,
                at: now,
            });
            return LogLines {
                execution_arn: kept.execution.to_string(),
                log_id: kept.log_id,
                first: batch.first,
                lines: batch.lines.into_iter().map(Into::into).collect(),
            };
        }
    }

    /// Control has kept lines. After a restart it may have more of them than was known here.
    pub(crate) fn kept(&mut self, kept: &LogKept) {
        let Some(sent) = self.sent.take_if(|sent| sent.log_id == kept.log_id) else {
            return;
        };
        let at = if kept.next == sent.end.line() {
            sent.end
        } else {
            Place::Line(kept.next)
        };
        self.logs.kept_to(&sent.execution_id, &sent.log_id, at);
    }
}
