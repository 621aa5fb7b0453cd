use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use super::*;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn rate(bytes: u64) -> BytesPerSecond {
    BytesPerSecond::try_from(i64::try_from(bytes).unwrap()).unwrap()
}

struct Setup {
    limiter: Limiter,
    rate: watch::Sender<BytesPerSecond>,
    tasks: JoinSet<()>,
}

fn start(first: BytesPerSecond) -> Setup {
    let (rate, receiver) = watch::channel(first);
    let mut tasks = JoinSet::new();
    let limiter = Limiter::start(receiver, &mut tasks);
    Setup {
        limiter,
        rate,
        tasks,
    }
}

/// One slice of at most `bytes`; what was granted.
async fn slice(pace: &Arc<dyn Pace>, bytes: usize) -> u64 {
    let bytes = bytes.min(pace.slice_max());
    if let Some(grant) = Arc::clone(pace).grant(bytes) {
        grant.await;
    }
    bytes as u64
}

impl Setup {
    /// A stream that wants `bytes` at a time for ever; what it got so far.
    fn greedy(&mut self, bytes: usize) -> Arc<AtomicU64> {
        let pace = self.limiter.stream();
        let total = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&total);
        self.tasks.spawn(async move {
            loop {
                let granted = slice(&pace, bytes).await;
                counter.fetch_add(granted, Ordering::Relaxed);
                if pace.slice_max() == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        total
    }

    async fn measure(&self, duration: Duration) -> u64 {
        let before = self.limiter.granted_bytes();
        sleep(duration).await;
        self.limiter.granted_bytes() - before
    }
}

fn assert_close(found: u64, wanted: u64, percent: u64) {
    let off = found.abs_diff(wanted);
    assert!(off * 100 <= wanted * percent, "{found} instead of {wanted}");
}

#[tokio::test(start_paused = true)]
async fn ten_seconds_are_within_one_percent() {
    for bytes in [
        64 * KIB,
        100_000,
        MIB,
        50 * MIB,
        150 * MIB,
        300_000_000,
        700_000_000,
        1024 * MIB,
    ] {
        let mut setup = start(rate(bytes));
        for _ in 0..4 {
            setup.greedy(usize::MAX);
        }
        let found = setup.measure(Duration::from_secs(10)).await;
        assert_close(found, 10 * bytes, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn small_streams_and_a_large_one_get_the_same() {
    let mut setup = start(rate(100 * MIB));
    let mut totals: Vec<_> = (0..15).map(|_| setup.greedy(4096)).collect();
    totals.push(setup.greedy(usize::MAX));
    sleep(Duration::from_secs(10)).await;
    for total in totals {
        assert_close(total.load(Ordering::Relaxed), 1000 * MIB / 16, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_takes_effect_at_once() {
    let mut setup = start(rate(10 * MIB));
    setup.greedy(usize::MAX);
    setup.greedy(usize::MAX);
    let mut slice_before = slice_max(rate(10 * MIB));
    for next in [10 * MIB, 100 * MIB, MIB, 64 * KIB, 20 * MIB] {
        setup.rate.send(rate(next)).unwrap();
        // From the first instant on, what is granted is off by no more than what both streams
        // had asked for before the change, a slice of each after it, and the bucket.
        let found = setup.measure(Duration::from_secs(2)).await;
        let slice_now = slice_max(rate(next));
        let slack = 2 * (slice_before + slice_now) + next / 20;
        let off = found.abs_diff(2 * next);
        assert!(
            off <= slack,
            "{found} bytes in 2 s at {next}/s, more than {slack} off"
        );
        slice_before = slice_now;
        // What was asked for before the change is through now.
        sleep(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_raised_while_a_grant_waits_shortens_the_wait() {
    let setup = start(rate(100 * MIB));
    let pace = setup.limiter.stream();
    setup.rate.send(rate(64 * KIB)).unwrap();
    let waiting = Arc::clone(&pace).grant(1024 * 1024).unwrap();
    let started = Instant::now();
    let mut waiting = Box::pin(timeout(Duration::from_secs(1), waiting));
    assert!(
        (&mut waiting).await.is_err(),
        "1 MiB at 64 KiB/s takes 16 s"
    );
    drop(waiting);
    let waiting = Arc::clone(&pace).grant(1024 * 1024).unwrap();
    let raise = async {
        sleep(Duration::from_secs(1)).await;
        setup.rate.send(rate(100 * MIB)).unwrap();
    };
    tokio::join!(waiting, raise);
    assert!(
        started.elapsed() < Duration::from_millis(2050),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_lowered_while_a_grant_waits_prolongs_the_wait() {
    let setup = start(rate(MIB));
    let pace = setup.limiter.stream();
    let waiting = Arc::clone(&pace).grant(1024 * 1024).unwrap();
    let started = Instant::now();
    let lower = async {
        sleep(Duration::from_millis(500)).await;
        setup.rate.send(rate(64 * KIB)).unwrap();
    };
    tokio::join!(waiting, lower);
    // Half a MiB is left at 64 KiB/s: 8 s.
    assert!(
        started.elapsed() > Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn no_limit_means_no_wait_and_a_limit_may_come_and_go() {
    let mut setup = start(BytesPerSecond::UNLIMITED);
    let pace = setup.limiter.stream();
    assert!(Arc::clone(&pace).grant(1024).is_none());
    assert_eq!(setup.limiter.granted_bytes(), 1024);
    setup.rate.send(rate(MIB)).unwrap();
    setup.greedy(usize::MAX);
    let found = setup.measure(Duration::from_secs(10)).await;
    assert_close(found, 10 * MIB, 1);
    let waiting = Arc::clone(&pace).grant(1024 * 1024).unwrap();
    setup.tasks.spawn(waiting);
    setup.tasks.spawn({
        let rate = setup.rate.clone();
        async move {
            sleep(Duration::from_millis(1)).await;
            rate.send(BytesPerSecond::UNLIMITED).unwrap();
        }
    });
    // The dispatcher, the waiter and the greedy stream; the greedy one no longer waits.
    let started = Instant::now();
    let mut ended = 0;
    while ended < 2 {
        setup.tasks.join_next().await.unwrap().unwrap();
        ended += 1;
    }
    assert!(
        started.elapsed() < Duration::from_millis(10),
        "{:?}",
        started.elapsed()
    );
    assert!(pace.grant(1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_is_neither_granted_nor_charged() {
    let setup = start(rate(64 * KIB));
    let pace = setup.limiter.stream();
    while setup.limiter.granted_bytes() < 4 * KIB {
        slice(&pace, usize::MAX).await;
    }
    let before = setup.limiter.granted_bytes();
    for _ in 0..100 {
        let waiting = Arc::clone(&pace).grant(32 * 1024).unwrap();
        assert!(timeout(Duration::from_millis(1), waiting).await.is_err());
    }
    assert_eq!(setup.limiter.granted_bytes(), before);
    // 0.1 s have passed; at most a burst is saved of it, and no debt is left.
    let started = Instant::now();
    let mut got = 0;
    while got < 64 * KIB {
        got += slice(&pace, usize::MAX).await;
    }
    assert!(
        started.elapsed() < Duration::from_millis(1020),
        "{:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() > Duration::from_millis(930),
        "{:?}",
        started.elapsed()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// I4.
    #[test]
    fn no_second_holds_more_than_rate_and_burst(
        bytes in 64 * KIB..256 * MIB,
        wants in proptest::collection::vec((1usize..2_000_000, 0u64..40), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let mut grants: Vec<(Duration, u64)> = runtime.block_on(async {
            let setup = start(rate(bytes));
            let begin = Instant::now();
            let mut streams = JoinSet::new();
            for (want, pause) in wants {
                let pace = setup.limiter.stream();
                streams.spawn(async move {
                    let mut grants = Vec::new();
                    while begin.elapsed() < Duration::from_secs(3) {
                        let granted = slice(&pace, want).await;
                        grants.push((begin.elapsed(), granted));
                        if grants.len() > 3000 {
                            break;
                        }
                        sleep(Duration::from_millis(pause)).await;
                    }
                    grants
                });
            }
            streams.join_all().await.into_iter().flatten().collect()
        });
        grants.sort_unstable();
        // A burst, and what rounding to cells of 20 µs adds.
        let bound = bytes + bytes / 40 + bytes / 1000 + 2;
        let (mut first, mut sum) = (0, 0);
        for (at, granted) in &grants {
            sum += granted;
            while *at - grants[first].0 >= Duration::from_secs(1) {
                sum -= grants[first].1;
                first += 1;
            }
            prop_assert!(sum <= bound, "{sum} bytes in a second at {bytes}");
        }
    }
}
