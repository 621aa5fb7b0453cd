//! Who may connect and how often, decided from values: no clock and no socket here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// A token bucket: `burst` at once, then one each `interval`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    pub(crate) burst: u32,
    pub(crate) interval: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    /// When the bucket would be full again; the past means full.
    full_at: Instant,
}

impl Bucket {
    /// Takes one token; `None` if there is none.
    fn take(self, level: Option<Level>, now: Instant) -> Option<Level> {
        let full_at = level.map_or(now, |level| level.full_at.max(now)) + self.interval;
        (full_at <= now + self.interval * self.burst).then_some(Level { full_at })
    }
}

/// Rates per source address, for a bounded number of sources.
#[derive(Debug)]
pub(crate) struct Rates {
    bucket: Bucket,
    levels: HashMap<IpAddr, Level>,
}

/// Sources remembered at a time. Beyond it new sources wait until an old bucket is full again.
const SOURCES_MAX: usize = 4096;

impl Rates {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            levels: HashMap::new(),
        }
    }

    /// Whether `address` may go on, counting it if so.
    pub(crate) fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let source = source(address);
        if self.levels.len() >= SOURCES_MAX && !self.levels.contains_key(&source) {
            self.levels.retain(|_, level| level.full_at > now);
            if self.levels.len() >= SOURCES_MAX {
                return false;
            }
        }
        match self.bucket.take(self.levels.get(&source).copied(), now) {
            Some(level) => {
                self.levels.insert(source, level);
                true
            }
            None => false,
        }
    }
}

/// One host: an IPv4 address, or the /64 network that one host controls in IPv6.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Bounds for connections that have not shown a certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) total: usize,
    pub(crate) per_source: usize,
    pub(crate) rate: Bucket,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 256,
            // Many agents may stand behind one address translation.
            per_source: 64,
            rate: Bucket {
                burst: 128,
                interval: Duration::from_millis(250),
            },
        }
    }
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("too many connections without a certificate")]
    Total,
    #[error("too many connections without a certificate from this address")]
    PerSource,
    #[error("too many connection attempts from this address")]
    Rate,
}

/// The connections that have not shown a certificate.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    rates: Rates,
    present: HashMap<IpAddr, usize>,
    total: usize,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            rates: Rates::new(limits.rate),
            present: HashMap::new(),
            total: 0,
        }
    }

    /// Counts one more connection.
    ///
    /// # Errors
    /// [`Refusal`] says which bound is reached; nothing is counted then.
    pub(crate) fn enter(&mut self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let source = source(address);
        if self.total >= self.limits.total {
            return Err(Refusal::Total);
        }
        if self.present.get(&source).copied().unwrap_or(0) >= self.limits.per_source {
            return Err(Refusal::PerSource);
        }
        if !self.rates.take(address, now) {
            return Err(Refusal::Rate);
        }
        *self.present.entry(source).or_default() += 1;
        self.total += 1;
        Ok(())
    }

    /// Takes back one [`Self::enter`].
    pub(crate) fn leave(&mut self, address: IpAddr) {
        let source = source(address);
        if let Some(count) = self.present.get_mut(&source) {
            *count = count.saturating_sub(1);
            self.total = self.total.saturating_sub(1);
            if *count == 0 {
                self.present.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: Bucket = Bucket {
        burst: 3,
        interval: Duration::from_secs(10),
    };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let mut rates = Rates::new(BUCKET);
        let start = Instant::now();
        let taken = |rates: &mut Rates, seconds: u64| {
            rates.take(address(1), start + Duration::from_secs(seconds))
        };
        assert_eq!([0, 0, 0].map(|at| taken(&mut rates, at)), [true; 3]);
        assert!(!taken(&mut rates, 9));
        assert!(taken(&mut rates, 10));
        assert!(!taken(&mut rates, 10));
        assert_eq!([100, 100, 100].map(|at| taken(&mut rates, at)), [true; 3]);
        assert!(!taken(&mut rates, 100));
    }

    #[test]
    fn sources_do_not_share_buckets_but_one_ipv6_network_does() {
        let mut rates = Rates::new(Bucket { burst: 1, ..BUCKET });
        let now = Instant::now();
        assert!(rates.take(address(1), now));
        assert!(rates.take(address(2), now));
        assert!(!rates.take("::ffff:192.0.2.1".parse().unwrap(), now));
        assert!(rates.take("2001:db8::1".parse().unwrap(), now));
        assert!(!rates.take("2001:db8::2".parse().unwrap(), now));
    }

    #[test]
    fn the_number_of_remembered_sources_is_bounded() {
        let mut rates = Rates::new(BUCKET);
        let now = Instant::now();
        for number in 0..SOURCES_MAX as u32 {
            assert!(rates.take(IpAddr::from(number.to_be_bytes()), now));
        }
        let next = IpAddr::from([200, 0, 0, 1]);
        assert!(!rates.take(next, now));
        assert!(rates.take(next, now + BUCKET.interval));
        assert_eq!(rates.levels.len(), 1);
    }

    #[test]
    fn connections_are_counted_in_and_out() {
        let mut admission = Admission::new(Limits {
            total: 3,
            per_source: 2,
            rate: Bucket {
                burst: 100,
                ..BUCKET
            },
        });
        let now = Instant::now();
        assert_eq!(admission.enter(address(1), now), Ok(()));
        assert_eq!(admission.enter(address(1), now), Ok(()));
        assert_eq!(admission.enter(address(1), now), Err(Refusal::PerSource));
        assert_eq!(admission.enter(address(2), now), Ok(()));
        assert_eq!(admission.enter(address(3), now), Err(Refusal::Total));
        admission.leave(address(1));
        assert_eq!(admission.enter(address(3), now), Ok(()));
        for last in [1, 2, 3] {
            admission.leave(address(last));
        }
        assert!(admission.present.is_empty());
        assert_eq!(admission.total, 0);
    }
}
