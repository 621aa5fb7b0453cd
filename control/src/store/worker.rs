//! One thread for each connection: databases block, the runtime must not.

use std::fmt;
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::connection::{Access, Connection};
use super::{StoreError, Transaction, meta};
use crate::events;

/// Jobs that wait for the thread; callers beyond it wait to hand theirs in.
const QUEUE: usize = 64;

pub(super) type Job = Box<dyn FnOnce(&mut Connection, &Mode) + Send>;

/// What the thread's transactions may do.
#[derive(Debug)]
pub(super) enum Mode {
    Read,
    Write(Changes),
}

impl Mode {
    fn access(&self) -> Access {
        match self {
            Self::Read => Access::Read,
            Self::Write(_) => Access::Write,
        }
    }
}

/// Tells those who wait for changes of the newest generation.
#[derive(Debug, Clone)]
pub(super) struct Changes(watch::Sender<u64>);

impl Changes {
    pub(super) fn new(generation: u64) -> Self {
        Self(watch::Sender::new(generation))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    /// Any other generation than the last wakes: a lower one may be that of a database that has gone
    /// back in time, or only one that is heard of late.
    pub(super) fn heard(&self, generation: u64) {
        self.0.send_if_modified(|last| {
            let differs = generation != *last;
            *last = generation;
            differs
        });
    }
}

/// Dropped in this order: the queue is closed, then the thread is waited for.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    _thread: Joined,
}

/// A thread that is joined when this is dropped; it must be about to end.
#[derive(Debug)]
pub(super) struct Joined(Option<JoinHandle<()>>);

impl Joined {
    /// # Errors
    /// [`StoreError::Thread`].
    pub(super) fn spawn(
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<Self, StoreError> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map(|thread| Self(Some(thread)))
            .map_err(StoreError::Thread)
    }
}

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
    /// Waits until the thread has its connection. It ends when the last handle is gone and the
    /// queue is empty; the last handle waits for that.
    ///
    /// # Errors
    /// What `connect` returns, or [`StoreError::Thread`].
    pub(super) fn start<T, E>(
        connect: impl FnOnce() -> Result<(Connection, Mode, T), E> + Send + 'static,
    ) -> Result<(Self, T), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let (opened, opening) = std::sync::mpsc::channel();
        let thread = Joined::spawn("store", move || {
            let (connection, rest) = match connect() {
                Ok((connection, mode, found)) => (Some((connection, mode)), Ok(found)),
                Err(error) => (None, Err(error)),
            };
            if opened.send(rest).is_err() {
                return;
            }
            let Some((mut connection, mode)) = connection else {
                return;
            };
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection, &mode);
            }
        })?;
        let found = opening.recv().map_err(|_| StoreError::Closed)??;
        let worker = Self {
            jobs,
            _thread: thread,
        };
        Ok((worker, found))
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

pub(super) fn perform<T, E: From<StoreError>>(
    connection: &mut Connection,
    mode: &Mode,
    f: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let open = connection.begin(mode.access())?;
    let (result, changed) = {
        let view = Transaction::new(open.sql(), mode.access());
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
        let generation = meta::raise_generation(open.sql())?;
        open.commit()?;
        changes.heard(generation);
    }
    Ok(result)
}
