//! Wakes those who wait for changes when another process has committed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::session::runtime;
use super::target::{ANSWER_MAX, CHANNEL, Link, Target, within};
use crate::store::worker::{Changes, Joined};
use crate::store::{Cause, StoreError};

/// A notification may be lost with its connection: the generation is looked at this often anyway.
const POLL: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);

/// The thread that listens. Dropped in this order: it is told to stop, then waited for.
#[derive(Debug)]
pub(in crate::store) struct Listener {
    _stop: oneshot::Sender<()>,
    _thread: Joined,
}

impl Listener {
    /// # Errors
    /// [`StoreError::Thread`].
    pub(in crate::store) fn start(
        target: Arc<Target>,
        changes: Changes,
    ) -> Result<Self, StoreError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = runtime()?;
        let thread = Joined::spawn("store-listen", move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = listen(&target, &changes) => {}
                }
            });
        })?;
        Ok(Self {
            _stop: stop,
            _thread: thread,
        })
    }
}

async fn listen(target: &Target, changes: &Changes) {
    let mut is_away = false;
    loop {
        let cause = follow(target, changes, &mut is_away).await;
        if let Err(cause) = cause
            && !is_away
        {
            is_away = true;
            tracing::error!(database = target.place(), %cause, event = "database.lost", "the database is away; trying again");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow(target: &Target, changes: &Changes, is_away: &mut bool) -> Result<(), Cause> {
    let notified = Arc::new(Notify::new());
    let wake = notified.clone();
    let mut link = target.connect(move || wake.notify_one()).await?;
    let Link { client, task, .. } = &mut link;
    within(
        ANSWER_MAX,
        client.batch_execute(&format!("LISTEN {CHANNEL}")),
    )
    .await?;
    if std::mem::take(is_away) {
        tracing::info!(
            database = target.place(),
            event = "database.recovered",
            "the database is back"
        );
    }
    let generation = "SELECT version FROM records WHERE kind = 'meta' AND id = 'meta'";
    let statement = within(ANSWER_MAX, client.prepare(generation)).await?;
    loop {
        let row = within(ANSWER_MAX, client.query_one(&statement, &[])).await?;
        let version: i64 = row.try_get(0)?;
        changes.heard(version.unsigned_abs());
        tokio::select! {
            () = notified.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            _ = task.join_next() => return Err(Cause::Lost),
        }
    }
}
