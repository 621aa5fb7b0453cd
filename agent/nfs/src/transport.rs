//! A few connections to one server, opened as they are needed and again after they broke.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::ErrorKind;
use nfs3_types::rpc::opaque_auth;
use nfs3_types::xdr_codec::Pack;
use tokio::net::lookup_host;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::{NfsConfig, PrivilegedPorts};
use crate::connection::{Broken, Connection};
use crate::hostname::ServerName;
use crate::pool::Pool;
use crate::rpc;
use crate::socket::{arbitrary, connect};
use crate::tls::{Stream, Tls, shake_hands};

/// Calls in flight that are reason enough for another connection: large READs fill one with these.
const CALLS_ENOUGH: usize = 4;

/// A call's place among those in flight; freed when the server has answered.
#[derive(Debug)]
pub(crate) struct InFlight {
    loads: Arc<StdMutex<Vec<usize>>>,
    slot: usize,
    _permit: OwnedSemaphorePermit,
}

impl InFlight {
    /// The first slot with fewer than `enough` calls, so that no more connections are opened than
    /// the calls need; else the one with the fewest. A permit guarantees that one has room.
    fn take(
        loads: &Arc<StdMutex<Vec<usize>>>,
        enough: usize,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let mut counts = loads.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = counts.iter().position(|calls| *calls < enough);
        let fewest = || (0..counts.len()).min_by_key(|slot| counts[*slot]);
        let slot = slot.or_else(fewest).unwrap_or_default();
        counts[slot] += 1;
        drop(counts);
        Self {
            loads: Arc::clone(loads),
            slot,
            _permit: permit,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        counts[self.slot] -= 1;
    }
}

/// A place for a connection. Those who wait while an attempt fails share its failure; else each of
/// them would try, and time out, in turn.
#[derive(Debug, Default)]
struct Slot {
    attempts: AtomicU64,
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    connection: Option<Arc<Connection>>,
    /// For a connection beyond the first.
    permit: Option<OwnedSemaphorePermit>,
    failure: Option<Broken>,
}

#[derive(Debug)]
pub(crate) struct Transport {
    host: String,
    /// Where the last connection was made; the port is that of the mount.
    address: StdMutex<SocketAddr>,
    privileged: PrivilegedPorts,
    tls: Option<Arc<dyn Tls>>,
    timeout: Duration,
    calls_max: usize,
    calls_enough: usize,
    credential: opaque_auth<'static>,
    xid: AtomicU32,
    permits: Arc<Semaphore>,
    loads: Arc<StdMutex<Vec<usize>>>,
    slots: Vec<Slot>,
    further_connections: Arc<Semaphore>,
    pool: Arc<Pool>,
}

impl Transport {
    /// Connects to nothing yet.
    pub(crate) fn new(address: SocketAddr, config: &NfsConfig) -> Self {
        let calls_max = config
            .connections
            .saturating_mul(config.in_flight_per_connection);
        let calls_max = calls_max.min(Semaphore::MAX_PERMITS);
        Self {
            // The mount has checked the name.
            host: ServerName::parse(&config.server_hostname)
                .map_or_else(|_| address.ip().to_string(), |server| server.host),
            address: StdMutex::new(address),
            privileged: config.privileged_ports,
            tls: config.tls.clone(),
            timeout: config.call_timeout,
            calls_max,
            calls_enough: config.in_flight_per_connection.min(CALLS_ENOUGH),
            credential: rpc::credential(config),
            // Servers may remember the xids of a client that was here before.
            #[expect(clippy::cast_possible_truncation, reason = "any 32 bits will do")]
            xid: AtomicU32::new(arbitrary() as u32),
            permits: Arc::new(Semaphore::new(calls_max)),
            loads: Arc::new(StdMutex::new(vec![0; config.connections])),
            slots: (0..config.connections).map(|_| Slot::default()).collect(),
            further_connections: Arc::clone(&config.further_connections),
            pool: Arc::default(),
        }
    }

    /// Makes one call and waits for the record that answers it.
    ///
    /// # Errors
    /// No connection, a broken one, or no answer in time. Nothing is tried twice.
    pub(crate) async fn call<A: Pack>(
        &self,
        procedure: (u32, u32, u32),
        arguments: &A,
    ) -> Result<Bytes, Broken> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|error| Broken::new(ErrorKind::Unreachable, error.to_string()))?;
        let in_flight = InFlight::take(&self.loads, self.calls_enough, permit);
        let connection = self.connection(in_flight.slot).await?;
        let xid = self.xid.fetch_add(1, Ordering::Relaxed);
        let wire = rpc::encode_call(xid, procedure, &self.credential, arguments)
            .map_err(|error| Broken::new(ErrorKind::Invalid, error.to_string()))?;
        let answer = connection.submit(xid, wire, in_flight)?;
        // Kept alive by its slot or by this: its tasks end with the last of them.
        let result = answer.await;
        drop(connection);
        result.unwrap_or_else(|_| {
            Err(Broken::new(
                ErrorKind::Unreachable,
                "the connection was dropped",
            ))
        })
    }

    /// Where the last connection was made.
    pub(crate) fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the name leads to now: a server that failed over may have another address.
    async fn connect(&self, again: bool) -> Result<Stream, Broken> {
        let before = self.address();
        let now = if again {
            current_address(&self.host, before, self.timeout).await
        } else {
            before
        };
        // Before the connection is made: a server does not wait long for the handshake.
        let session = match &self.tls {
            Some(tls) => {
                let session = tls.session().await;
                Some(session.map_err(|error| Broken::new(error.kind, error.detail))?)
            }
            None => None,
        };
        let stream = connect(now, self.privileged, self.timeout).await;
        let stream = stream.map_err(|error| Broken::from_io(&error))?;
        if now != before {
            tracing::info!(host = self.host, %before, %now, "the NFS server has another address");
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        match session {
            Some(session) => shake_hands(session, stream, self.timeout).await,
            None => Ok(Stream::Plain(stream)),
        }
    }

    /// The connection of a slot, or the first one where the server is to have no more.
    async fn connection(&self, slot: usize) -> Result<Arc<Connection>, Broken> {
        if slot > 0 {
            let mut state = self.slots[slot].state.lock().await;
            if state.permit.is_none() {
                state.permit = Arc::clone(&self.further_connections)
                    .try_acquire_owned()
                    .ok();
            }
            if state.permit.is_none() {
                drop(state);
                return self.open(&self.slots[0]).await;
            }
        }
        self.open(&self.slots[slot]).await
    }

    async fn open(&self, slot: &Slot) -> Result<Arc<Connection>, Broken> {
        let seen = slot.attempts.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        if let Some(connection) = &state.connection {
            if !connection.is_retired() {
                return Ok(Arc::clone(connection));
            }
            state.connection = None;
        }
        if slot.attempts.load(Ordering::Acquire) != seen
            && let Some(failure) = &state.failure
        {
            return Err(failure.clone());
        }
        let again = slot.attempts.load(Ordering::Acquire) > 0;
        match self.connect(again).await {
            Ok(stream) => {
                let pool = Arc::clone(&self.pool);
                let connection = Connection::start(stream, self.calls_max, self.timeout, pool);
                let connection = Arc::new(connection);
                state.connection = Some(Arc::clone(&connection));
                state.failure = None;
                slot.attempts.fetch_add(1, Ordering::Release);
                Ok(connection)
            }
            Err(broken) => {
                state.failure = Some(broken.clone());
                slot.attempts.fetch_add(1, Ordering::Release);
                Err(broken)
            }
        }
    }
}

/// The address as it was if the name still has it, or cannot be resolved; else the name's first.
async fn current_address(host: &str, before: SocketAddr, limit: Duration) -> SocketAddr {
    let found = timeout(limit, lookup_host((host, before.port()))).await;
    let addresses: Vec<SocketAddr> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            tracing::debug!(host, %error, "the host name cannot be resolved again");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    if addresses.contains(&before) {
        return before;
    }
    addresses.first().copied().unwrap_or(before)
}

#[cfg(test)]
mod tests;
