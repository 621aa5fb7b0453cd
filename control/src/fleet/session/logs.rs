//! Parts of logs that an agent sends: each is committed beside the session's other work, which waits
//! for none of it.

use std::sync::Arc;

use datasync_model::AgentArn;
use datasync_proto::{LogKept, LogLines};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::fleet::Fleet;
use crate::logs::Part;

/// What is being kept: one part at most.
#[derive(Default)]
pub(super) struct LogWrites(FuturesUnordered<BoxFuture<'static, Option<LogKept>>>);

impl LogWrites {
    /// Begins to keep a part. One that comes before the last was answered is passed over: the agent
    /// sends it again.
    pub(super) fn begin(&mut self, fleet: &Arc<Fleet>, agent: &AgentArn, sent: LogLines) {
        if !self.0.is_empty() {
            tracing::debug!(%agent, "a part of a log came too early");
            return;
        }
        let log_id = sent.log_id.clone();
        let part = match Part::read(sent) {
            Ok(part) => part,
            Err(error) => {
                tracing::warn!(%agent, %error, "a part of a log cannot be understood");
                return;
            }
        };
        let (fleet, agent) = (fleet.clone(), agent.clone());
        self.0.push(Box::pin(async move {
            match fleet.rows.keep_log(&agent, part).await {
                Ok(next) => Some(LogKept { log_id, next }),
                Err(error) => {
                    tracing::error!(%agent, %error, "a part of a log cannot be kept; it comes again");
                    None
                }
            }
        }));
    }

    /// The answer to a part that is kept; waits for ever while there is none.
    pub(super) async fn next(&mut self) -> LogKept {
        loop {
            match self.0.next().await {
                Some(Some(kept)) => return kept,
                Some(None) => {}
                None => return std::future::pending().await,
            }
        }
    }
}
