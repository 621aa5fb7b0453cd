//! From rows to one receiver: in order, at least once, for as long as it takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::envelope::envelope;
use super::queue::{OFFERED_MAX_MS, advance};
use super::webhook::Caller;
use crate::config::Outputs;
use crate::egress::Egress;
use crate::records::{Delivery, Event};
use crate::rolling::RollingFile;
use crate::store::{Store, StoreError, Unreadable, Versioned};
use crate::turn::{Turn, Watch};

/// Events that are told between two notes of how far it went.
const BATCH: usize = 100;
/// After this time a note is made, so that no other control thinks that this one is silent.
const ROUND_MAX: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether the control that tells has fallen silent.
const LOOK: Duration = Duration::from_secs(15);
/// Who is told.
#[derive(Debug)]
pub(crate) enum Receiver {
    File(Arc<Mutex<RollingFile>>),
    Webhook(Caller),
    /// Nobody: events are forgotten at once.
    Nobody,
}

impl Receiver {
    /// Everybody that is configured.
    ///
    /// # Errors
    /// In words, if the way to the webhook cannot be used.
    pub(crate) fn all(outputs: &Outputs, egress: &Egress) -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        if let Some(file) = outputs.event_file.clone() {
            all.push(Self::File(Arc::new(Mutex::new(RollingFile::new(file)))));
        }
        if let Some(webhook) = outputs.event_webhook.clone() {
            all.push(Self::Webhook(Caller::new(webhook, egress)?));
        }
        if all.is_empty() {
            all.push(Self::Nobody);
        }
        Ok(all)
    }

    /// Never changes once released: rows are called by it.
    fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(_) => "webhook",
            Self::Nobody => "nobody",
        }
    }

    /// How many of `events` were taken, or are too old to be tried again, from the first on; and
    /// what stopped it.
    async fn tell(&self, events: &[Event], now: Timestamp) -> (usize, Result<(), String>) {
        match self {
            Self::Nobody => (events.len(), Ok(())),
            Self::File(file) => {
                let lines: String = events
                    .iter()
                    .map(|e| format!("{}\n", envelope(e)))
                    .collect();
                match write(file.clone(), lines).await {
                    Ok(()) => (events.len(), Ok(())),
                    Err(why) => (0, Err(why)),
                }
            }
            Self::Webhook(caller) => post(caller, events, now).await,
        }
    }
}

async fn write(file: Arc<Mutex<RollingFile>>, lines: String) -> Result<(), String> {
    let mut writing = JoinSet::new();
    writing.spawn_blocking(move || {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.append(lines.as_bytes()).and_then(|()| file.sync());
        written.map_err(|error| {
            let advice = crate::disk::advice(&error);
            format!("{}: {error}{advice}", file.path().display())
        })
    });
    match writing.join_next().await {
        Some(Ok(written)) => written,
        Some(Err(error)) => Err(error.to_string()),
        None => Err("nothing was written".to_owned()),
    }
}

async fn post(caller: &Caller, events: &[Event], now: Timestamp) -> (usize, Result<(), String>) {
    let begun = Instant::now();
    for (told, event) in events.iter().enumerate() {
        if begun.elapsed() >= ROUND_MAX {
            return (told, Ok(()));
        }
        match caller.post(event).await {
            Ok(()) => {}
            Err(why) if is_too_old(event, now) => {
                tracing::error!(id = %event.id, %why,
                    "an event is dropped: the webhook has not taken it for 24 hours");
            }
            Err(why) => return (told, Err(why)),
        }
    }
    (events.len(), Ok(()))
}

fn is_too_old(event: &Event, now: Timestamp) -> bool {
    now.as_millisecond().saturating_sub(event.at_ms) >= OFFERED_MAX_MS
}

/// Between a half and the whole of a time that doubles with each failure in a row.
fn pause(failures: u32, random: u8) -> Duration {
    let factor = 1u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let whole = PAUSE_MIN.saturating_mul(factor).min(PAUSE_MAX);
    whole / 2 + whole / 2 * u32::from(random) / 255
}

fn random() -> u8 {
    let mut byte = [0];
    // Without it, pauses are the longest.
    getrandom::fill(&mut byte).map_or(u8::MAX, |()| byte[0])
}

/// Tells each of `receivers`, none waiting for another, until `shutdown`. `holder` is this control.
pub(crate) async fn deliver(
    store: Store,
    receivers: Vec<Receiver>,
    holder: String,
    shutdown: CancellationToken,
) {
    let names: Arc<[&'static str]> = receivers.iter().map(Receiver::name).collect();
    let mut telling = JoinSet::new();
    for receiver in receivers {
        let teller = Teller {
            store: store.clone(),
            receiver,
            all: names.clone(),
            holder: holder.clone(),
            watch: Watch::default(),
            failures: 0,
        };
        let shutdown = shutdown.clone();
        telling.spawn(async move { shutdown.run_until_cancelled(teller.run()).await });
    }
    while let Some(ended) = telling.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "events are no longer delivered");
        }
    }
}

struct Teller {
    store: Store,
    receiver: Receiver,
    all: Arc<[&'static str]>,
    holder: String,
    watch: Watch,
    failures: u32,
}

/// What is to be told.
struct Looked {
    row: Option<Versioned<Delivery>>,
    events: Vec<Event>,
    unreadable: Vec<Unreadable>,
}

/// How far it went once the first `told` of `events` were taken. A row that cannot be read is passed
/// over with what is before it.
fn passed(before: String, events: &[Event], told: usize, unreadable: &[Unreadable]) -> String {
    let untold = events.get(told).map(|event| &event.sequence);
    let last = told.checked_sub(1).and_then(|last| events.get(last));
    let unreadable = unreadable.iter().map(|row| &row.id);
    let passed_over = unreadable.filter(|id| untold.is_none_or(|untold| id < &untold));
    let last = last.map(|event| &event.sequence);
    last.into_iter()
        .chain(passed_over)
        .max()
        .cloned()
        .unwrap_or(before)
}

/// What comes after a round.
enum Next {
    /// There may be more.
    Round,
    /// Something must change first.
    Change,
    /// So much later.
    Later(Duration),
}

impl Teller {
    async fn run(mut self) {
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            let next = match self.round().await {
                Ok(next) => next,
                Err(why) => self.failed(&why),
            };
            match next {
                Next::Round => {}
                Next::Later(pause) => tokio::time::sleep(pause).await,
                Next::Change => {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn failed(&mut self, why: &str) -> Next {
        let receiver = self.receiver.name();
        if self.failures == 0 {
            tracing::warn!(
                receiver,
                event = "events.delayed",
                "events cannot be delivered and are kept: {why}"
            );
        } else {
            tracing::debug!(receiver, "events still cannot be delivered: {why}");
        }
        self.failures = self.failures.saturating_add(1);
        Next::Later(pause(self.failures, random()))
    }

    async fn round(&mut self) -> Result<Next, String> {
        let broken = |error: StoreError| error.to_string();
        let Looked {
            row,
            events,
            unreadable,
        } = self.look().await.map_err(broken)?;
        if events.is_empty() && unreadable.is_empty() {
            self.watch.idle();
            return Ok(Next::Change);
        }
        let seen = row
            .as_ref()
            .map(|row| (row.record.holder.as_str(), row.version));
        match self.watch.turn(seen, &self.holder, Instant::now()) {
            Turn::Wait => return Ok(Next::Later(LOOK)),
            Turn::Take => {
                self.take(row).await.map_err(broken)?;
                return Ok(Next::Round);
            }
            Turn::Ours => {}
        }
        let (told, result) = self.receiver.tell(&events, Timestamp::now()).await;
        let before = row.map(|row| row.record.delivered).unwrap_or_default();
        let delivered = passed(before, &events, told, &unreadable);
        for row in unreadable.iter().filter(|row| row.id <= delivered) {
            tracing::error!(
                id = row.id,
                reason = row.reason,
                "an event cannot be read and is not told"
            );
        }
        self.note(delivered).await.map_err(broken)?;
        result?;
        if self.failures > 0 {
            tracing::info!(
                receiver = self.receiver.name(),
                event = "events.recovered",
                "events are delivered again"
            );
            self.failures = 0;
        }
        Ok(Next::Round)
    }

    async fn look(&self) -> Result<Looked, StoreError> {
        let name = self.receiver.name();
        let look = move |rows: &crate::store::Transaction<'_>| {
            let row = rows.get::<Delivery>(name)?;
            let after = row.as_ref().map(|row| row.record.delivered.clone());
            let (events, unreadable) = rows.sorted_page::<Event>(after.as_deref(), BATCH)?;
            Ok(Looked {
                row,
                events: events.into_iter().map(|event| event.record).collect(),
                unreadable,
            })
        };
        self.store.read(look).await
    }

    async fn take(&self, row: Option<Versioned<Delivery>>) -> Result<(), StoreError> {
        let (receiver, holder) = (self.receiver.name().to_owned(), self.holder.clone());
        let taken = self.store.commit(move |rows| match row {
            Some(mut row) => {
                row.record.holder = holder;
                rows.update(&row)
            }
            None => rows.insert(&Delivery {
                receiver,
                delivered: String::new(),
                holder,
            }),
        });
        match taken.await {
            // Another control was faster.
            Err(StoreError::Conflict { .. }) => Ok(()),
            taken => taken,
        }
    }

    async fn note(&self, delivered: String) -> Result<(), StoreError> {
        let delivery = Delivery {
            receiver: self.receiver.name().to_owned(),
            delivered,
            holder: self.holder.clone(),
        };
        let all = self.all.clone();
        let now_ms = Timestamp::now().as_millisecond();
        let noted = self
            .store
            .commit(move |rows| advance(rows, &delivery, &all, now_ms));
        if !noted.await? {
            tracing::info!(
                receiver = self.receiver.name(),
                "another control delivers events now"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_cannot_be_read_are_passed_over_with_what_is_before_them() {
        let event = |number| Event {
            sequence: Event::sequence(number, 0),
            id: String::new(),
            subject: crate::records::Subject::Agent(crate::fleet::fixture::agent(0)),
            state: "ONLINE".to_owned(),
            at_ms: 0,
            warning: None,
        };
        let broken = |number| Unreadable::new("event", Event::sequence(number, 0), String::new());
        let (events, unreadable) = ([event(2), event(4)], [broken(1), broken(3), broken(5)]);
        let passed = |told| passed("before".to_owned(), &events, told, &unreadable);
        assert_eq!(passed(0), Event::sequence(1, 0));
        assert_eq!(passed(1), Event::sequence(3, 0));
        assert_eq!(passed(2), Event::sequence(5, 0));
        assert_eq!(
            super::passed("before".to_owned(), &events, 0, &[]),
            "before"
        );
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        assert_eq!(pause(1, 0), PAUSE_MIN / 2);
        assert_eq!(pause(1, 255), PAUSE_MIN);
        assert_eq!(pause(3, 255), PAUSE_MIN * 4);
        for failures in [6, 31, 32, 33, u32::MAX] {
            assert_eq!(pause(failures, 255), PAUSE_MAX);
            assert_eq!(pause(failures, 0), PAUSE_MAX / 2);
        }
    }
}
