//! One TCP connection with many calls in flight, told apart by their xids.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::ErrorKind;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::pool::Pool;
use crate::record::{RECORD_MAX, read_record};
use crate::rpc;
use crate::tls::{self, Stream};
use crate::transport::InFlight;

/// Small replies are received together; payloads of megabytes pass the buffer by.
const RECEIVE_BUFFER: usize = 32 << 10;
/// Calls that wait are written together, up to about this many bytes.
const WRITE_TOGETHER: usize = 16 << 10;

/// The most timeouts that a call may last while other calls on its connection are answered.
const PERIODS_MAX: u32 = 8;

/// Why a call got no answer.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) kind: ErrorKind,
    pub(crate) detail: Arc<str>,
}

impl Broken {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    pub(crate) fn from_io(error: &io::Error) -> Self {
        if let Some(broken) = tls::broken(error) {
            return broken;
        }
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => ErrorKind::Timeout,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            // A server that is there: what it answers to one call is no reason to end all.
            io::ErrorKind::InvalidData => ErrorKind::ServerFault,
            io::ErrorKind::Unsupported => ErrorKind::NotSupported,
            _ => ErrorKind::Unreachable,
        };
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::new(kind, "the server closed the connection");
        }
        Self::new(kind, error.to_string())
    }
}

type Answer = Result<Bytes, Broken>;

/// A call on the wire. It stays here when its caller has gone: it still loads the server.
#[derive(Debug)]
struct Call {
    answer: oneshot::Sender<Answer>,
    submitted: Instant,
    in_flight: InFlight,
}

impl Call {
    /// Makes room before the caller can know, then tells it; one that has gone does not mind.
    fn end(self, answer: Answer) {
        drop(self.in_flight);
        self.answer.send(answer).ok();
    }
}

/// When a call is overdue. A link so slow that calls wait for each other is not a dead server: an
/// answer to another call gives this one a new period, up to a bound.
fn deadline(submitted: Instant, last_answer: Option<Instant>, timeout: Duration) -> Instant {
    let progress = last_answer.map_or(submitted, |answered| answered.max(submitted));
    (progress + timeout).min(submitted + timeout * PERIODS_MAX)
}

#[derive(Debug, Default)]
struct Calls {
    waiting: HashMap<u32, Call>,
    last_answer: Option<Instant>,
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Shared {
    calls: Mutex<Calls>,
    retired: CancellationToken,
    timeout: Duration,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection: nothing more is sent, every waiting call gets `why`.
    fn retire(&self, why: &Broken) {
        let mut calls = self.lock();
        if calls.broken.is_none() {
            tracing::debug!(kind = ?why.kind, detail = %why.detail, "an NFS connection is retired");
            calls.broken = Some(why.clone());
        }
        let waiting = std::mem::take(&mut calls.waiting);
        drop(calls);
        self.retired.cancel();
        for (_, call) in waiting {
            call.end(Err(why.clone()));
        }
    }

    /// Hands a record to the call that it answers.
    ///
    /// # Errors
    /// For one that answers none: nothing that follows can be trusted, whichever call it damaged.
    fn answer(&self, record: Bytes) -> Result<(), Broken> {
        let xid = rpc::reply_xid(&record)
            .map_err(|error| Broken::new(ErrorKind::ServerFault, error.to_string()))?;
        let mut calls = self.lock();
        calls.last_answer = Some(Instant::now());
        let call = calls.waiting.remove(&xid);
        drop(calls);
        let Some(call) = call else {
            return Err(Broken::new(
                ErrorKind::ServerFault,
                "the server answered a call that was not made",
            ));
        };
        call.end(Ok(record));
        Ok(())
    }

    /// Retires the connection if a call is overdue: its caller hears of a timeout, the others of a
    /// broken connection. Otherwise says when to look again.
    fn check_deadlines(&self, now: Instant) -> Option<Instant> {
        let mut calls = self.lock();
        let last_answer = calls.last_answer;
        let deadline = |call: &Call| deadline(call.submitted, last_answer, self.timeout);
        let overdue: Vec<u32> = calls
            .waiting
            .iter()
            .filter(|(_, call)| deadline(call) <= now)
            .map(|(xid, _)| *xid)
            .collect();
        if overdue.is_empty() {
            let earliest = calls.waiting.values().map(deadline).min();
            return Some(earliest.unwrap_or(now + self.timeout));
        }
        let seconds = self.timeout.as_secs_f32();
        let timeout = Broken::new(
            ErrorKind::Timeout,
            format!("no answer for {seconds} s or more"),
        );
        for xid in overdue {
            if let Some(call) = calls.waiting.remove(&xid) {
                call.end(Err(timeout.clone()));
            }
        }
        drop(calls);
        self.retire(&Broken::new(
            ErrorKind::Unreachable,
            "the connection was given up because another call on it was not answered in time",
        ));
        None
    }
}

/// A connection and the tasks that serve it; they end with it.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Bytes>,
    _tasks: JoinSet<()>,
}

impl Connection {
    /// Serves `stream`; at most `calls_max` calls are ever in flight on it.
    pub(crate) fn start(
        stream: Stream,
        calls_max: usize,
        timeout: Duration,
        pool: Arc<Pool>,
    ) -> Self {
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            retired: CancellationToken::new(),
            timeout,
        });
        let (outgoing, queue) = mpsc::channel(calls_max);
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_deadlines(Arc::clone(&shared)));
        match stream {
            // Without a lock between the directions.
            Stream::Plain(stream) => {
                let (reading, writing) = stream.into_split();
                tasks.spawn(receive(Arc::clone(&shared), reading, pool));
                tasks.spawn(send(Arc::clone(&shared), writing, queue));
            }
            Stream::Tls(stream) => {
                let (reading, writing) = tokio::io::split(*stream);
                tasks.spawn(receive(Arc::clone(&shared), reading, pool));
                tasks.spawn(send(Arc::clone(&shared), writing, queue));
            }
        }
        Self {
            shared,
            outgoing,
            _tasks: tasks,
        }
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.shared.retired.is_cancelled()
    }

    /// Puts a call on the wire. Not async, so that a caller cannot be dropped half-way through.
    ///
    /// # Errors
    /// Where the connection is retired: the call was not sent.
    pub(crate) fn submit(
        &self,
        xid: u32,
        wire: Bytes,
        in_flight: InFlight,
    ) -> Result<oneshot::Receiver<Answer>, Broken> {
        let (answer, receiver) = oneshot::channel();
        let mut calls = self.shared.lock();
        if let Some(broken) = &calls.broken {
            return Err(broken.clone());
        }
        // The queue has room for every call that may be in flight.
        self.outgoing
            .try_send(wire)
            .map_err(|error| Broken::new(ErrorKind::Unreachable, error.to_string()))?;
        let call = Call {
            answer,
            submitted: Instant::now(),
            in_flight,
        };
        calls.waiting.insert(xid, call);
        Ok(receiver)
    }
}

async fn receive<R>(shared: Arc<Shared>, stream: R, pool: Arc<Pool>)
where
    R: AsyncRead + Unpin + Send,
{
    let mut stream = BufReader::with_capacity(RECEIVE_BUFFER, stream);
    let reading = async {
        loop {
            let record = read_record(&mut stream, RECORD_MAX, &pool)
                .await
                .map_err(|error| Broken::from_io(&error))?;
            shared.answer(record)?;
        }
    };
    let ended: Result<(), Broken> = tokio::select! {
        biased;
        () = shared.retired.cancelled() => return,
        ended = reading => ended,
    };
    if let Err(broken) = ended {
        shared.retire(&broken);
    }
}

async fn send<W>(shared: Arc<Shared>, mut stream: W, mut queue: mpsc::Receiver<Bytes>)
where
    W: AsyncWrite + Unpin + Send,
{
    let writing = async {
        let mut together = Vec::new();
        while let Some(call) = queue.recv().await {
            together.clear();
            together.extend_from_slice(&call);
            while together.len() < WRITE_TOGETHER {
                let Ok(next) = queue.try_recv() else { break };
                together.extend_from_slice(&next);
            }
            stream.write_all(&together).await?;
            // TLS keeps what the socket did not take at once.
            stream.flush().await?;
        }
        Ok::<(), io::Error>(())
    };
    let ended = tokio::select! {
        biased;
        () = shared.retired.cancelled() => return,
        ended = writing => ended,
    };
    if let Err(error) = ended {
        shared.retire(&Broken::from_io(&error));
    }
}

async fn watch_deadlines(shared: Arc<Shared>) {
    while let Some(next) = shared.check_deadlines(Instant::now()) {
        tokio::select! {
            biased;
            () = shared.retired.cancelled() => return,
            () = sleep_until(next) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_others_put_off_the_deadline_but_not_for_ever() {
        let timeout = Duration::from_secs(30);
        let submitted = Instant::now() + 100 * timeout;
        let after = |answered: Option<i32>| {
            let answered = answered.map(|seconds| match u64::try_from(seconds) {
                Ok(later) => submitted + Duration::from_secs(later),
                Err(_) => submitted - timeout,
            });
            (deadline(submitted, answered, timeout) - submitted).as_secs()
        };
        assert_eq!(after(None), 30);
        assert_eq!(after(Some(-1)), 30);
        assert_eq!(after(Some(20)), 50);
        assert_eq!(after(Some(209)), 239);
        assert_eq!(after(Some(1000)), 240);
    }
}
