//! One thread for each connection: SQLite blocks, the runtime must not.

use std::fmt;
use std::thread::JoinHandle;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::{StoreError, Transaction, transaction};
use crate::events;

/// Jobs that wait for the thread; callers beyond it wait to hand theirs in.
const QUEUE: usize = 64;

pub(super) type Job = Box<dyn FnOnce(&mut Connection, &Mode) + Send>;

/// What the thread's transactions may do.
#[derive(Debug)]
pub(super) enum Mode {
    Read,
    Write(watch::Sender<u64>),
}

/// Dropped in this order: the queue is closed, then the thread is waited for.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    _thread: Joined,
}

/// A thread that is joined when this is dropped; it must be about to end.
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // A job that held the last handle is dropped on the thread itself.
        let ours = std::thread::current().id();
        let Some(thread) = self.0.take().filter(|thread| thread.thread().id() != ours) else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!("a thread of the store panicked");
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Worker {
    /// The thread ends when the last handle is gone and the queue is empty; the last handle waits
    /// for that.
    pub(super) fn start(mut connection: Connection, mode: Mode) -> Result<Self, StoreError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let name = match mode {
            Mode::Read => "store-read",
            Mode::Write(_) => "store-write",
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection, &mode);
                }
            })
            .map_err(StoreError::Thread)?;
        Ok(Self {
            jobs,
            _thread: Joined(Some(thread)),
        })
    }

    pub(super) async fn submit(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }
}

/// Wraps `f` in a transaction and sends its result to `answer`.
pub(super) fn job<T, E>(
    f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    answer: oneshot::Sender<Result<T, E>>,
) -> Job
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    Box::new(move |connection, mode| {
        if answer.send(perform(connection, mode, f)).is_err() {
            tracing::debug!("nobody waits for the store's answer any more");
        }
    })
}

fn perform<T, E: From<StoreError>>(
    connection: &mut Connection,
    mode: &Mode,
    f: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let behavior = match mode {
        Mode::Read => TransactionBehavior::Deferred,
        Mode::Write(_) => TransactionBehavior::Immediate,
    };
    let failed = StoreError::database(connection, "beginning a transaction");
    let sql = connection
        .transaction_with_behavior(behavior)
        .map_err(failed)?;
    let (result, changed) = {
        let view = match mode {
            Mode::Read => Transaction::reading(&sql),
            Mode::Write(_) => Transaction::writing(&sql),
        };
        let result = f(&view)?;
        events::record(
            &view,
            view.take_touched(),
            Timestamp::now().as_millisecond(),
        )?;
        (result, view.has_changed())
    };
    let Mode::Write(changes) = mode else {
        return Ok(result);
    };
    if changed {
        let generation = transaction::raise_generation(&sql)?;
        let failed = StoreError::database(&sql, "committing a transaction");
        sql.commit().map_err(failed)?;
        changes.send_replace(generation);
    }
    Ok(result)
}
