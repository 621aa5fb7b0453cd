//! Simulated transfers: the band given after a tenth of the bytes against the true end.

use super::*;

const RUNS: u64 = 1_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// As many small values as large ones, in magnitude.
    fn magnitude(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    fn is(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

/// How a run goes on about its scan.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scan {
    /// It is over at once.
    Over,
    /// It goes on to the end; the last run knew about so many entries.
    Known,
    /// It goes on to the end, and is the first.
    Unknown,
}

/// An entry of the source: its bytes if it is to be transferred.
type Entry = Option<u64>;

/// What there is, in its order.
fn tree(random: &mut Random) -> Vec<Entry> {
    let count = random.magnitude(300.0, 6_000.0) as usize;
    let changed = if random.is(0.5) {
        1.0
    } else {
        random.between(0.05, 0.9)
    };
    let typical = random.magnitude(1e3, 1e7);
    let large = random.magnitude(1e6, 1e9);
    let large_share = if random.is(0.5) {
        random.between(0.0, 0.05)
    } else {
        0.0
    };
    // A directory holds files of about one size.
    let mut entries = Vec::new();
    while entries.len() < count {
        let here = random.magnitude(0.3, 3.0) * typical;
        for _ in 0..random.magnitude(5.0, count as f64 / 5.0) as usize {
            let size = if random.is(large_share) {
                large * random.between(0.5, 2.0)
            } else {
                here * random.magnitude(0.2, 5.0)
            };
            entries.push(random.is(changed).then_some(size as u64));
        }
    }
    entries
}

/// The speed of everything, in phases: noise, changes for good, and times of slowness.
struct Speed {
    random: Random,
    phase_seconds: f64,
    noise: f64,
    has_slow_phases: bool,
    now: f64,
    until: f64,
}

impl Speed {
    fn new(mut random: Random, total: f64) -> Self {
        Self {
            phase_seconds: total * random.magnitude(0.005, 0.1),
            noise: random.between(0.0, 0.4),
            has_slow_phases: random.is(0.3),
            now: 1.0,
            until: 0.0,
            random,
        }
    }

    fn at(&mut self, time: f64) -> f64 {
        while time >= self.until {
            let length = self.random.between(0.5, 1.5) * self.phase_seconds;
            self.until += length.max(1e-6);
            self.now = (self.random.between(-1.7, 1.7) * self.noise).exp();
            if self.has_slow_phases && self.random.is(0.15) {
                self.now *= 0.3;
            }
        }
        self.now
    }
}

/// One run: the band after a tenth of the bytes, and what it was really.
struct Outcome {
    scan: Scan,
    band: Option<TimeLeft>,
    truth_ms: u64,
}

impl Outcome {
    fn is_inside(&self) -> bool {
        self.band.is_some_and(|band| {
            band.low_ms <= self.truth_ms && band.high_ms.is_none_or(|high| self.truth_ms <= high)
        })
    }

    /// How many times the lower bound the upper one is.
    fn width(&self) -> Option<f64> {
        let band = self.band?;
        Some(band.high_ms? as f64 / band.low_ms.max(1) as f64)
    }
}

fn run(seed: u64) -> Outcome {
    let mut random = Random(seed);
    let entries = tree(&mut random);
    let scan = match (random.unit() * 3.0) as u64 {
        0 => Scan::Over,
        1 => Scan::Known,
        _ => Scan::Unknown,
    };
    let expected = (entries.len() as f64 * random.between(0.9, 1.1)) as u64;
    let (per_item, per_byte) = (random.magnitude(1e-2, 10.0), random.magnitude(1e-8, 1e-5));
    let all: Vec<u64> = entries.iter().copied().flatten().collect();
    // From a minute to a day.
    let bytes_in_all: u64 = all.iter().sum();
    let raw = per_item * all.len() as f64 + per_byte * bytes_in_all as f64;
    let total = random.magnitude(60.0, 86_400.0);
    let cost = |bytes: u64| (per_item + per_byte * bytes as f64) * total / raw;
    let mut speed = Speed::new(Random(seed ^ 0xfeed), total);
    let (mut time, mut look) = (0.0, Look::default());
    look.expected = (scan == Scan::Known).then_some(expected);
    if scan == Scan::Over {
        look.is_scanned = true;
        look.met = entries.len() as u64;
        look.items.known = all.len() as u64;
        look.bytes.known = bytes_in_all;
    }
    let mut estimator = Estimator::default();
    estimator.look(look);
    let mut given = None;
    for entry in &entries {
        look.met += u64::from(!look.is_scanned);
        let Some(bytes) = *entry else { continue };
        if !look.is_scanned {
            look.items.known += 1;
            look.bytes.known += bytes;
        }
        // Files are looked at on their way, too.
        for step in 0..10 {
            time += cost(bytes) / 10.0 / speed.at(time);
            look.at = Duration::from_secs_f64(time);
            look.bytes.done += if step < 9 {
                bytes / 10
            } else {
                bytes - bytes / 10 * 9
            };
            estimator.look(look);
            if given.is_none() && look.bytes.done >= bytes_in_all / 10 {
                given = Some((estimator.time_left(look), look.at));
            }
        }
        look.items.done += 1;
    }
    let (band, at) = given.unwrap();
    let end = Duration::from_secs_f64(time);
    let truth_ms = u64::try_from((end - at).as_millis()).unwrap();
    Outcome {
        scan,
        band,
        truth_ms,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn the_true_end_lies_in_the_band_given_after_a_tenth_of_the_bytes() {
    let outcomes: Vec<_> = (0..RUNS).map(run).collect();
    // A band is of use where its ends are not too far apart: what is known decides how far.
    for (scan, width_max) in [(Scan::Over, 3.0), (Scan::Known, 5.0), (Scan::Unknown, 0.0)] {
        let of: Vec<_> = outcomes.iter().filter(|run| run.scan == scan).collect();
        let inside = of.iter().filter(|run| run.is_inside()).count();
        assert!(
            inside * 10 >= of.len() * 9,
            "{scan:?}: {inside} of {}",
            of.len()
        );
        let widths: Vec<f64> = of.iter().filter_map(|run| run.width()).collect();
        if scan == Scan::Unknown {
            assert_eq!(widths, [0.0; 0], "nobody can know");
            continue;
        }
        assert!(
            widths.len() * 100 >= of.len() * 99,
            "{scan:?}: {}",
            widths.len()
        );
        let width = median(widths);
        assert!(width <= width_max, "{scan:?}: {width}");
    }
}

#[test]
fn what_is_left_is_nothing_at_the_end_and_unknown_at_the_beginning() {
    let look = |seconds, done| Look {
        at: Duration::from_secs(seconds),
        items: Amount { done, known: 10 },
        bytes: Amount {
            done: done * 5,
            known: 50,
        },
        met: 10,
        is_scanned: true,
        expected: None,
    };
    let mut estimator = Estimator::default();
    assert_eq!(estimator.time_left(look(0, 0)), None);
    estimator.look(look(0, 0));
    assert_eq!(estimator.time_left(look(1, 1)), None, "too early to tell");
    assert_eq!(estimator.time_left(look(60, 0)), None, "nothing was done");
    let nothing = TimeLeft {
        low_ms: 0,
        likely_ms: 0,
        high_ms: Some(0),
    };
    assert_eq!(estimator.time_left(look(60, 10)), Some(nothing));
    let more = Look {
        is_scanned: false,
        ..look(60, 10)
    };
    assert_eq!(estimator.time_left(more).unwrap().high_ms, None);
}

#[test]
fn the_way_is_remembered_in_bounded_space() {
    let mut estimator = Estimator::default();
    for second in 0..100_000 {
        estimator.look(Look {
            at: Duration::from_secs(second),
            ..Look::default()
        });
        assert!(estimator.marks.len() <= MARKS_MAX);
    }
    assert_eq!(estimator.marks[0].at, Duration::ZERO);
    assert!(estimator.marks.len() > MARKS_MAX / 3);
}
