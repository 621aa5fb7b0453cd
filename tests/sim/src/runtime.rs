//! A runtime on which the same seed gives the same run, files included.
//!
//! One thread, a paused clock. The engine's files go through tokio's blocking threads, and how fast
//! those are must not show: there is one such thread, and it is held back by a gate while tasks run.
//! Only when no task can run it works off what was asked of it, in order; then the tasks go on. The
//! clock moves on only when nothing is left to do, files included (tokio sees to that).

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Holds the blocking thread back.
#[derive(Debug, Default)]
struct Gate {
    /// There while it is closed; it opens when this is dropped.
    closed: Mutex<Option<SyncSender<()>>>,
    /// When the thread parked last.
    parked_at: Mutex<Option<Instant>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    fn close(&self, runtime: &Handle) {
        let mut closed = locked(&self.closed);
        if closed.is_some() {
            return;
        }
        let (open, opened): (_, Receiver<()>) = sync_channel(1);
        drop(runtime.spawn_blocking(move || opened.recv()));
        *closed = Some(open);
    }

    fn open(&self) -> bool {
        locked(&self.closed).take().is_some()
    }

    /// Lets the blocking thread do all that it was asked for.
    fn drain(&self) {
        *locked(&self.parked_at) = Some(Instant::now());
        if self.open() {
            let (done, is_done) = sync_channel(1);
            drop(Handle::current().spawn_blocking(move || done.send(())));
            // An error means that the runtime is being shut down.
            let (Ok(()) | Err(_)) = is_done.recv();
        }
    }

    /// Closes the gate if there is something to run: a file operation ended, or time went on.
    fn unparked(&self) {
        let runtime = Handle::current();
        let went_on = *locked(&self.parked_at) != Some(Instant::now());
        if went_on || runtime.metrics().global_queue_depth() > 0 {
            self.close(&runtime);
        }
    }
}

/// Runs `future` to its end, on a clock that begins at zero.
///
/// # Panics
/// If the future panics, or the runtime cannot be built.
pub fn run<F>(future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let gate = Arc::new(Gate::default());
    let (parks, unparks) = (Arc::clone(&gate), Arc::clone(&gate));
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(1)
        // What other threads wake comes after everything that can run anyway.
        .global_queue_interval(u32::MAX)
        .event_interval(u32::MAX)
        .on_thread_park(move || parks.drain())
        .on_thread_unpark(move || unparks.unparked())
        .build()
        .unwrap();
    gate.close(runtime.handle());
    let mut task = JoinSet::new();
    task.spawn_on(future, runtime.handle());
    let joined = runtime.block_on(task.join_next());
    gate.open();
    match joined.expect("there is a task") {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
