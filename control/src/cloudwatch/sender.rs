//! Sends what is to be sent, one log after the other, until the shutdown.

mod rows;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use datasync_model::LogLine;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::batch::batches;
use super::client::{CallError, Client};
use crate::records::{LogSender, LogShipment};
use crate::store::{Store, StoreError, Transaction, Unreadable, Versioned};
use crate::turn::{Turn, Watch};

/// Lines gather for so long, so that calls are few.
const GATHER: Duration = Duration::from_secs(2);
/// How often it is looked whether the control that sends has fallen silent, and how often the one
/// that does shows that it has not.
const LOOK: Duration = Duration::from_secs(15);
/// Logs that are looked at together.
const PAGE: usize = 50;
/// Pauses of a log that cannot be sent: they double from one to the other.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Logs whose pauses are remembered; beyond it all are tried again.
const PAUSED_MAX: usize = 10_000;
/// A row that cannot be read is named again when it was not seen for this long.
const NAMED_FOR: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Debug)]
pub(crate) struct Sender {
    store: Store,
    client: Client,
    /// This control.
    holder: String,
    watch: Watch,
    shown: Option<Instant>,
    paused: HashMap<String, Paused>,
    /// Rows that cannot be read, by kind and id, and when they were last seen.
    named: HashMap<(&'static str, String), Instant>,
}

/// A log that waits for its next attempt.
#[derive(Debug, Clone, Copy)]
struct Paused {
    failures: u32,
    until: Instant,
}

/// What comes after a round.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Something must change first.
    Change,
    /// So much later, or once something changes.
    Later(Duration),
}

/// Sends until `shutdown`.
pub(crate) async fn send(sender: Sender, shutdown: CancellationToken) {
    let running = Box::pin(sender.run());
    shutdown.run_until_cancelled(running).await;
}

impl Sender {
    /// `holder` is this control.
    pub(crate) fn new(store: Store, client: Client, holder: String) -> Self {
        Self {
            store,
            client,
            holder,
            watch: Watch::default(),
            shown: None,
            paused: HashMap::new(),
            named: HashMap::new(),
        }
    }

    async fn run(mut self) {
        let mut changes = self.store.changes();
        let mut failure = String::new();
        loop {
            changes.mark_unchanged();
            let next = match self.round().await {
                Ok(next) => {
                    failure.clear();
                    next
                }
                Err(error) => {
                    // Once for each cause: the store may be away for long.
                    let text = error.to_string();
                    if text != failure {
                        tracing::error!(%error, "logs cannot be sent; trying again");
                        failure = text;
                    }
                    Next::Later(LOOK)
                }
            };
            let changed = match next {
                Next::Change => changes.changed().await,
                Next::Later(pause) => {
                    let waited = tokio::time::timeout(pause, changes.changed()).await;
                    waited.unwrap_or(Ok(()))
                }
            };
            if changed.is_err() {
                return;
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Sends a load of each log that has one and is not paused, until there is none.
    async fn round(&mut self) -> Result<Next, StoreError> {
        let mut after = String::new();
        let mut pause: Option<Duration> = None;
        let mut is_idle = true;
        loop {
            let from = after.clone();
            let page = self.store.read(move |rows: &Transaction<'_>| {
                rows.sorted_page::<LogShipment>(Some(&from), PAGE)
            });
            let (page, unreadable) = page.await?;
            let last = page.iter().map(|row| row.record.execution.id());
            let last = last.chain(unreadable.iter().map(|row| row.id.as_str()));
            let Some(last) = last.max() else { break };
            after = last.to_owned();
            self.name(unreadable);
            if page.is_empty() {
                continue;
            }
            is_idle = false;
            // Before anything is loaded that another control sends.
            if let Some(wait) = self.hold().await? {
                return Ok(Next::Later(wait));
            }
            for row in page {
                let wait = self.ship_all(row.record).await?;
                pause = [pause, wait].into_iter().flatten().min();
            }
        }
        if is_idle {
            self.watch.idle();
            self.paused.clear();
        }
        Ok(pause.map_or(Next::Change, Next::Later))
    }

    /// Whether another control sends: then how long to wait.
    async fn hold(&mut self) -> Result<Option<Duration>, StoreError> {
        let row = self.store.read(|rows| rows.get::<LogSender>(LogSender::ID));
        let row: Option<Versioned<LogSender>> = row.await?;
        let seen = row
            .as_ref()
            .map(|row| (row.record.holder.as_str(), row.version));
        let now = Instant::now();
        match self.watch.turn(seen, &self.holder, now) {
            Turn::Wait => return Ok(Some(LOOK)),
            Turn::Ours if self.shown.is_some_and(|at| now.duration_since(at) < LOOK) => {
                return Ok(None);
            }
            Turn::Ours | Turn::Take => {}
        }
        let holder = self.holder.clone();
        let shown = self.store.commit(move |rows| match row {
            Some(row) => rows.update(&Versioned {
                record: LogSender { holder },
                ..row
            }),
            None => rows.insert(&LogSender { holder }),
        });
        match shown.await {
            Ok(()) => {
                self.shown = Some(now);
                Ok(None)
            }
            // Another control was faster.
            Err(StoreError::Conflict { .. }) => Ok(Some(LOOK)),
            Err(error) => Err(error),
        }
    }

    /// Sends what there is of one log; how long it pauses then, if it does.
    async fn ship_all(&mut self, shipment: LogShipment) -> Result<Option<Duration>, StoreError> {
        let id = shipment.execution.id().to_owned();
        let now = Instant::now();
        if let Some(paused) = self.paused.get(&id)
            && paused.until > now
        {
            return Ok(Some(paused.until - now));
        }
        loop {
            let load = rows::load(&self.store, &id).await?;
            self.name(load.unreadable);
            let Some(end) = load.end else {
                return Ok(None);
            };
            if let Some(wait) = self.hold().await? {
                return Ok(Some(wait));
            }
            if let Err(error) = self.put(&shipment, &load.lines).await {
                self.note_failure(&shipment, &error).await?;
                return Ok(Some(self.pause(id, now)));
            }
            self.paused.remove(&id);
            rows::advance(&self.store, &id, end).await?;
        }
    }

    /// Logs each row that cannot be read once, for as long as it stays so.
    fn name(&mut self, unreadable: Vec<Unreadable>) {
        let now = Instant::now();
        self.named
            .retain(|_, seen| now.duration_since(*seen) < NAMED_FOR);
        for row in unreadable {
            if self.named.insert((row.kind, row.id.clone()), now).is_none() {
                tracing::error!(
                    kind = row.kind,
                    id = row.id,
                    reason = row.reason,
                    "a row cannot be read: it is not sent to CloudWatch Logs; others are"
                );
            }
        }
    }

    async fn put(&self, shipment: &LogShipment, lines: &[LogLine]) -> Result<(), CallError> {
        let (batches, mut lost) = batches(lines, Timestamp::now().as_millisecond());
        for batch in batches {
            let put = self
                .client
                .put(&shipment.group_arn, &shipment.execution, &batch);
            lost += put.await?;
        }
        if lost > 0 {
            tracing::warn!(execution = %shipment.execution, lost,
                "CloudWatch Logs does not take lines that are older than 14 days, than the group's \
                 retention, or of the future");
        }
        Ok(())
    }

    /// Told and kept once for each cause.
    async fn note_failure(
        &self,
        shipment: &LogShipment,
        error: &CallError,
    ) -> Result<(), StoreError> {
        let text = error.to_string();
        if shipment.failure.as_ref() == Some(&text) {
            return Ok(());
        }
        tracing::warn!(execution = %shipment.execution, group = shipment.group_arn,
            "a log cannot be sent to CloudWatch Logs and is kept: {text}");
        rows::note_failure(&self.store, shipment.execution.id(), text).await
    }

    fn pause(&mut self, id: String, now: Instant) -> Duration {
        if self.paused.len() >= PAUSED_MAX {
            self.paused.clear();
        }
        let failures = self.paused.get(&id).map_or(0, |paused| paused.failures) + 1;
        let pause = PAUSE_MIN * 2_u32.saturating_pow(failures.min(16) - 1);
        let pause = pause.min(PAUSE_MAX);
        let until = now + pause;
        self.paused.insert(id, Paused { failures, until });
        pause
    }
}

#[cfg(test)]
mod tests;
