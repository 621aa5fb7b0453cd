//! The agent's lease: until when it may write for executions that control may give to another agent.
//!
//! It is counted from the sending of a heartbeat, by a clock that goes on while the machine is
//! suspended: whatever happened to the answer, control counts from a later moment.

use std::time::Duration;

use datasync_proto::HeartbeatAck;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// What control may ask for at most; no configuration allows more.
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3600);

/// The time since the machine started, suspended time included.
pub(crate) fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// When the lease ends that `ack` tells of; `None` if it tells of none. Only heartbeats of this
/// session count, which began at `session_began`: the machine's clock may have started anew since
/// others.
fn end_of(ack: &HeartbeatAck, session_began: Duration, now: Duration) -> Option<Duration> {
    let from = Duration::from_millis(ack.lease_from_milliseconds);
    let length = Duration::from_millis(ack.lease_milliseconds).min(LENGTH_MAX);
    (session_began <= from && from <= now).then_some(from + length)
}

/// The side that knows what control says.
#[derive(Debug)]
pub(crate) struct LeaseHolder {
    clock: fn() -> Duration,
    ends: watch::Sender<Duration>,
}

impl LeaseHolder {
    pub(crate) fn new(clock: fn() -> Duration) -> Self {
        Self {
            clock,
            ends: watch::Sender::new(Duration::ZERO),
        }
    }

    /// The time by the lease's clock, in whole milliseconds, as heartbeats tell it.
    pub(crate) fn now(&self) -> Duration {
        let now = (self.clock)();
        Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    /// Takes what control answered to a heartbeat of the session that began at `session_began`. A
    /// lease that was given is not shortened: control waits for its end.
    pub(crate) fn renew(&self, ack: &HeartbeatAck, session_began: Duration) {
        let end = end_of(ack, session_began, self.now());
        self.ends.send_if_modified(|ends| {
            let later = end.filter(|end| *end > *ends);
            later.inspect(|later| *ends = *later).is_some()
        });
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease {
            clock: self.clock,
            ends: self.ends.subscribe(),
        }
    }
}

/// The side that asks before it writes. Clones are of one lease.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    clock: fn() -> Duration,
    ends: watch::Receiver<Duration>,
}

impl Lease {
    fn left(&self) -> Duration {
        self.ends.borrow().saturating_sub((self.clock)())
    }

    /// Whether it lasts at this moment.
    pub(crate) fn lasts(&self) -> bool {
        !self.left().is_zero()
    }

    /// Waits until it lasts; for ever if its holder is gone.
    pub(crate) async fn begun(&self) {
        let mut ends = self.ends.clone();
        while !self.lasts() {
            if ends.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Waits until it does not last.
    pub(crate) async fn ended(&self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ack(from: Duration, length: Duration) -> HeartbeatAck {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        HeartbeatAck {
            now_milliseconds: 0,
            lease_from_milliseconds: milliseconds(from),
            lease_milliseconds: milliseconds(length),
        }
    }

    /// Lets the lease of `holder` last for `length` from now on.
    pub(crate) fn give(holder: &LeaseHolder, length: Duration) {
        holder.renew(&ack(holder.now(), length), holder.now());
    }

    #[test]
    fn a_lease_is_counted_from_the_heartbeat_and_not_from_its_answer() {
        let (began, now) = (100 * SECOND, 150 * SECOND);
        let end = |from: u32, length| end_of(&ack(from * SECOND, length), began, now);
        assert_eq!(end(140, 30 * SECOND), Some(170 * SECOND));
        assert_eq!(end(100, SECOND), Some(101 * SECOND), "over already");
        assert_eq!(end(99, 30 * SECOND), None, "of an earlier session");
        assert_eq!(end(151, 30 * SECOND), None, "of another start of the clock");
        assert_eq!(end(0, 30 * SECOND), None, "no heartbeat counts yet");
        assert_eq!(
            end(140, 40_000_000 * SECOND),
            Some(140 * SECOND + LENGTH_MAX)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_is_told_of_begin_end_and_renewal() {
        let holder = LeaseHolder::new(tokio_time);
        let lease = holder.lease();
        let began = holder.now();
        assert!(!lease.lasts());
        lease.ended().await;
        holder.renew(&ack(holder.now(), 10 * SECOND), began);
        lease.begun().await;
        tokio::time::sleep(6 * SECOND).await;
        assert!(lease.lasts());
        holder.renew(&ack(holder.now(), 10 * SECOND), began);
        // Neither an answer that comes late nor a shorter lease takes anything away.
        holder.renew(&ack(holder.now(), 2 * SECOND), began);
        let since = tokio::time::Instant::now();
        lease.ended().await;
        assert_eq!(since.elapsed().as_secs(), 10);
        assert!(!lease.lasts());
    }

    /// Follows the paused clock; the same in all tests of a thread.
    pub(crate) fn tokio_time() -> Duration {
        thread_local! {
            static START: std::cell::OnceCell<tokio::time::Instant> = const { std::cell::OnceCell::new() };
        }
        START.with(|start| {
            let start = start.get_or_init(tokio::time::Instant::now);
            start.elapsed() + SECOND
        })
    }

    #[test]
    fn the_clock_of_leases_runs() {
        let before = since_boot();
        assert!(before > Duration::ZERO && since_boot() >= before);
    }
}
