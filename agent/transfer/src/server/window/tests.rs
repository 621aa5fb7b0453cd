//! Windows against models of servers, in time that is counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    floor: 4,
    start: 64,
    ceiling: 256,
};

/// A server that works on so many requests at once, each for the same time.
#[derive(Debug, Clone, Copy)]
struct Model {
    at_once: usize,
    work: Duration,
    /// Whether it refuses what it cannot begin soon; else that waits.
    refuses: bool,
}

/// When an answer comes, to which client, to what was sent when and held back for how long, and
/// whether it was served.
type Answer = (Instant, usize, Instant, Duration, bool);

/// Clients that send as much as their windows allow.
struct Simulation {
    model: Model,
    windows: Vec<Window>,
    in_flight: Vec<usize>,
    served: Vec<u64>,
    now: Instant,
    random: u64,
    /// Between two grants of a rate limit, and when the next one is given.
    interval: Duration,
    granted: Instant,
    /// When each of the server's places is free.
    places: BinaryHeap<Reverse<Instant>>,
    answers: BinaryHeap<Reverse<Answer>>,
}

impl Simulation {
    fn new(model: Model, clients: usize) -> Self {
        let now = Instant::now();
        Self {
            model,
            windows: (0..clients).map(|_| Window::new(BOUNDS, now)).collect(),
            in_flight: vec![0; clients],
            served: vec![0; clients],
            now,
            random: 7,
            interval: Duration::ZERO,
            granted: now,
            places: (0..model.at_once).map(|_| Reverse(now)).collect(),
            answers: BinaryHeap::new(),
        }
    }

    /// From now on the server is another.
    fn change(&mut self, model: Model) {
        self.model = model;
        let busy_until = self
            .places
            .peek()
            .map_or(self.now, |free| free.0.max(self.now));
        self.places = (0..model.at_once).map(|_| Reverse(busy_until)).collect();
    }

    /// Between half and one and a half times what it is on average.
    fn work(&mut self) -> Duration {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let share = (self.random >> 40) as f64 / (1u64 << 24) as f64;
        self.model.work.mul_f64(0.5 + share)
    }

    fn send(&mut self, client: usize) {
        self.in_flight[client] += 1;
        let granted = self.granted.max(self.now);
        self.granted = granted + self.interval;
        let held = granted - self.now;
        let Reverse(free) = self.places.pop().unwrap();
        let begins = free.max(granted);
        if self.model.refuses && begins > self.now + self.model.work / 2 {
            self.places.push(Reverse(free));
            let answered = self.now + Duration::from_millis(1);
            self.answers
                .push(Reverse((answered, client, self.now, held, false)));
            return;
        }
        let done = begins + self.work();
        self.places.push(Reverse(done));
        self.answers
            .push(Reverse((done, client, self.now, held, true)));
    }

    fn fill(&mut self) {
        loop {
            let open = |client: &usize| self.in_flight[*client] < self.windows[*client].size();
            let Some(client) = (0..self.windows.len())
                .filter(open)
                .min_by_key(|client| self.in_flight[*client])
            else {
                return;
            };
            self.send(client);
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.fill();
        while self.now < end {
            let Reverse((at, client, sent_at, held, is_served)) = self.answers.pop().unwrap();
            self.now = at;
            self.in_flight[client] -= 1;
            self.served[client] += u64::from(is_served);
            let sign = if is_served {
                Sign::Served
            } else {
                Sign::Throttled
            };
            let ended = Ended {
                sent_at,
                held,
                amount: 1,
                sign,
            };
            self.windows[client].ended(at, ended);
            let size = self.windows[client].size();
            assert!((BOUNDS.floor..=BOUNDS.ceiling).contains(&size), "{size}");
            self.fill();
        }
    }

    /// The share of what the server can do that it does in `time`.
    fn used(&mut self, time: Duration) -> f64 {
        let (before, began) = (self.served.iter().sum::<u64>(), self.now);
        self.run(time);
        let done = (self.served.iter().sum::<u64>() - before) as f64;
        let took = (self.now - began).as_secs_f64();
        done * self.model.work.as_secs_f64() / (took * self.model.at_once as f64)
    }

    fn size(&self) -> usize {
        self.windows[0].size()
    }
}

fn queueing(at_once: usize) -> Model {
    Model {
        at_once,
        work: Duration::from_millis(10),
        refuses: false,
    }
}

fn refusing(at_once: usize) -> Model {
    Model {
        refuses: true,
        ..queueing(at_once)
    }
}

#[test]
fn the_window_becomes_what_the_server_does_at_once() {
    for at_once in [6, 16, 64, 100, 200] {
        let mut simulation = Simulation::new(queueing(at_once), 1);
        simulation.run(Duration::from_secs(10));
        for _ in 0..20 {
            let used = simulation.used(Duration::from_millis(500));
            assert!(used > 0.8, "{used} of {at_once}");
            let size = simulation.size();
            assert!(size <= at_once * 5 / 2, "{size} for {at_once}");
        }
    }
}

#[test]
fn a_server_that_could_do_more_gets_all_there_is() {
    let mut simulation = Simulation::new(queueing(10_000), 1);
    simulation.run(Duration::from_millis(500));
    assert_eq!(simulation.size(), BOUNDS.ceiling);
}

#[test]
fn the_window_stays_while_a_rate_limit_holds_requests_up() {
    let mut simulation = Simulation::new(queueing(10_000), 1);
    simulation.interval = Duration::from_millis(1);
    simulation.run(Duration::from_secs(60));
    assert!(simulation.size() >= BOUNDS.start);
    simulation.interval = Duration::ZERO;
    let before = simulation.served[0];
    simulation.run(Duration::from_secs(1));
    let served = simulation.served[0] - before;
    assert!(served > 6_000, "{served} in the second after it");
}

#[test]
fn a_limit_set_later_takes_nothing_of_what_the_window_has_learned() {
    let mut simulation = Simulation::new(queueing(100), 1);
    simulation.run(Duration::from_secs(10));
    let learned = simulation.size();
    simulation.interval = Duration::from_millis(1);
    simulation.run(Duration::from_secs(60));
    assert!(simulation.size() >= learned * 2 / 3, "{learned}");
    simulation.interval = Duration::ZERO;
    assert!(simulation.used(Duration::from_secs(1)) > 0.6);
}

#[test]
fn a_server_that_refuses_is_used_well_without_hammering() {
    for at_once in [8, 32, 128] {
        let mut simulation = Simulation::new(refusing(at_once), 1);
        simulation.run(Duration::from_secs(5));
        let used = simulation.used(Duration::from_secs(20));
        assert!(used > 0.7, "{used} of {at_once}");
        for _ in 0..100 {
            simulation.run(Duration::from_millis(100));
            assert!(
                simulation.size() > BOUNDS.floor || at_once <= 8,
                "at the floor"
            );
        }
    }
}

#[test]
fn a_server_that_can_suddenly_do_less_and_more_again_is_followed() {
    for model in [queueing as fn(usize) -> Model, refusing] {
        let mut simulation = Simulation::new(model(80), 1);
        simulation.run(Duration::from_secs(10));
        simulation.change(model(10));
        simulation.run(Duration::from_secs(10));
        assert!(simulation.size() <= 25, "{}", simulation.size());
        assert!(simulation.used(Duration::from_secs(10)) > 0.7);
        simulation.change(model(80));
        simulation.run(Duration::from_secs(20));
        assert!(simulation.used(Duration::from_secs(10)) > 0.7);
    }
}

#[test]
fn two_that_do_not_know_of_each_other_share() {
    for model in [queueing(50), refusing(50)] {
        let mut simulation = Simulation::new(model, 2);
        simulation.run(Duration::from_secs(20));
        let before = simulation.served.clone();
        simulation.run(Duration::from_secs(60));
        let share = |client: usize| (simulation.served[client] - before[client]) as f64;
        let all = share(0) + share(1);
        for client in [0, 1] {
            let share = share(client) / all;
            assert!((0.35..=0.65).contains(&share), "{share} {model:?}");
        }
    }
}

#[test]
fn refusals_of_requests_that_were_in_flight_together_halve_once() {
    let now = Instant::now();
    let mut window = Window::new(BOUNDS, Instant::now());
    let refused = |sent_at| Ended {
        sent_at,
        held: Duration::ZERO,
        amount: 1,
        sign: Sign::Throttled,
    };
    for number in 0..64 {
        window.ended(now + Duration::from_millis(5 + number), refused(now));
    }
    assert_eq!(window.size(), 32);
    let later = now + Duration::from_millis(100);
    window.ended(later + Duration::from_millis(5), refused(later));
    assert_eq!(window.size(), 16);
}

#[test]
fn a_window_that_is_not_used_stays_as_it_is() {
    let begin = Instant::now();
    let mut window = Window::new(BOUNDS, Instant::now());
    let answered = Duration::from_millis(1);
    for number in 0..100_000 {
        let sent_at = begin + answered * number;
        let ended = Ended {
            sent_at,
            held: Duration::ZERO,
            amount: 1,
            sign: Sign::Served,
        };
        window.ended(sent_at + answered, ended);
    }
    assert_eq!(window.size(), BOUNDS.start);
}

proptest! {
    /// Whatever comes, in whatever order.
    #[test]
    fn the_window_stays_between_its_bounds(
        floor in 0usize..20, start in 0usize..500, ceiling in 0usize..400,
        answers in proptest::collection::vec((0u64..40, 0u64..100, any::<u32>(), 0u8..12, 0u64..100), 1..2000),
    ) {
        let mut window = Window::new(Bounds { floor, start, ceiling }, Instant::now());
        let ceiling = ceiling.max(1);
        let mut now = Instant::now() + Duration::from_secs(1);
        for (passed, took, amount, lot, held) in answers {
            now += Duration::from_millis(passed);
            let sign = if lot == 0 { Sign::Throttled } else { Sign::Served };
            let sent_at = now - Duration::from_millis(took);
            let held = Duration::from_millis(held.min(took));
            window.ended(now, Ended { sent_at, held, amount: amount.into(), sign });
            prop_assert!((floor.clamp(1, ceiling)..=ceiling).contains(&window.size()));
        }
    }
}
