//! `BytesPerSecond` and the memory budget, measured at the destination.

use std::time::Duration;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{
    Action, BodySpan, Fault, MemoryDestination, MemorySource, Operation, Transit, Tree,
};
use datasync_model::{ExecutionStatus, VerifyMode};
use tokio::time::{Instant, sleep};

use crate::world::{KIB, MIB, World, bytes, rate};

fn limited(tree: Tree, bytes_per_second: u64) -> World {
    let mut world = World::new(tree);
    world.options().bytes_per_second = rate(bytes_per_second);
    world.options().verify_mode = VerifyMode::None;
    world
}

/// I4: in no window do more bytes pass than rate x window + burst.
fn assert_never_above(transits: &[Transit], rate: u64) {
    let burst = rate / 20 + 2 * KIB;
    // Bytes above the rate since the worst moment to start counting.
    let mut excess = 0i128;
    let mut last = transits[0].at;
    for transit in transits {
        let passed = i128::try_from(transit.at.duration_since(last).as_nanos()).unwrap();
        excess = (excess - passed * i128::from(rate) / 1_000_000_000).max(0);
        excess += i128::from(transit.bytes);
        assert!(excess <= i128::from(burst), "{excess} bytes above {rate}/s");
        last = transit.at;
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_and_used() {
    for (per_second, total) in [(64 * KIB, 20 * 64 * KIB), (10 * MIB, 60 * MIB)] {
        let mut tree = Tree::new();
        for number in 0..20u64 {
            tree.add(
                format!("f{number}"),
                EntryKind::File,
                bytes(number, total / 20),
            );
        }
        let world = limited(tree, per_second);
        let started = Instant::now();
        let run = world.run_well().await;
        let wanted = Duration::from_secs(total / per_second);
        let took = started.elapsed();
        assert!(
            took >= wanted.mul_f64(0.98)
                && took <= wanted.mul_f64(1.05) + Duration::from_millis(500),
            "{took:?} for {wanted:?}"
        );
        assert_never_above(&world.destination.transits(), per_second);
        assert_eq!(run.report.counters.bytes_transferred, total);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_count_against_the_rate() {
    let per_second = 256 * KIB;
    let world = limited(Tree::new().file("f", bytes(1, MIB)), per_second);
    world.at_destination(Fault::new(Operation::Put, Action::Flip).at("f").times(2));
    let started = Instant::now();
    let run = world.run_well().await;
    assert!(
        started.elapsed() >= Duration::from_millis(11_700),
        "{:?}",
        started.elapsed()
    );
    assert_never_above(&world.destination.transits(), per_second);
    assert_eq!(run.report.counters.bytes_transferred, 3 * MIB);
    assert_eq!(run.report.counters.bytes_written, MIB);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_changed_takes_effect_in_the_middle_of_a_file() {
    let world = limited(Tree::new().file("f", bytes(1, 7 * MIB)), 64 * KIB);
    let directory = world.directory();
    let (controls, handles) = world.controls();
    let started = Instant::now();
    let changing = async {
        sleep(Duration::from_secs(10)).await;
        let seen = handles.reports.borrow().clone();
        assert_eq!(seen.status, ExecutionStatus::Transferring);
        let sent = seen.counters.bytes_transferred;
        assert!(sent.abs_diff(640 * KIB) < 32 * KIB, "{sent} were reported");
        handles.rate.send(rate(MIB)).unwrap();
        sleep(Duration::from_secs(3)).await;
        handles.rate.send(rate(128 * KIB)).unwrap();
        sleep(Duration::from_secs(8)).await;
        handles
            .rate
            .send(datasync_model::BytesPerSecond::UNLIMITED)
            .unwrap();
    };
    let (report, ()) = tokio::join!(world.run_in(&directory, controls), changing);
    assert!(report.unwrap().result.failure.is_none());
    let passed = |from: f64, to: f64| -> u64 {
        let window = started + Duration::from_secs_f64(from)..started + Duration::from_secs_f64(to);
        let transits = world.destination.transits();
        transits
            .iter()
            .filter(|t| window.contains(&t.at))
            .map(|t| t.bytes)
            .sum()
    };
    for (from, to, per_second) in [
        (1.0, 10.0, 64 * KIB),
        (10.1, 13.0, MIB),
        (13.1, 21.0, 128 * KIB),
    ] {
        let wanted = (to - from) * per_second as f64;
        let found = passed(from, to) as f64;
        assert!(
            (found / wanted - 1.0).abs() < 0.06,
            "{found} for {wanted} from {from} s"
        );
    }
    assert!(
        started.elapsed() < Duration::from_millis(21_500),
        "{:?}",
        started.elapsed()
    );
}

/// The most bodies that were under way at the same time.
fn at_once(bodies: &[BodySpan]) -> usize {
    let under_way = |at| {
        bodies
            .iter()
            .filter(move |b| b.opened <= at && at < b.closed)
    };
    bodies
        .iter()
        .map(|b| under_way(b.opened).count())
        .max()
        .unwrap_or(0)
}

/// No body took longer than with its share of the rate.
fn assert_lively(bodies: &[BodySpan], share: u64) {
    for body in bodies {
        let took = body.closed - body.opened;
        let fair = Duration::from_secs_f64(body.bytes as f64 / share as f64);
        let slack = Duration::from_millis(500);
        assert!(took <= fair.mul_f64(1.05) + slack, "{body:?} took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn fewer_bodies_are_under_way_at_low_rates() {
    let mut tree = Tree::new();
    for number in 0..3u64 {
        tree.add(
            format!("large{number}"),
            EntryKind::File,
            bytes(number, 17 * MIB),
        );
    }
    for number in 0..60u64 {
        tree.add(
            format!("small{number}"),
            EntryKind::File,
            bytes(number, 100 * KIB),
        );
    }
    let world = limited(tree, 64 * KIB);
    let directory = world.directory();
    let (controls, handles) = world.controls();
    let raised_at = Instant::now() + Duration::from_secs(400);
    let raising = async {
        tokio::time::sleep_until(raised_at).await;
        handles.rate.send(rate(768 * KIB)).unwrap();
    };
    let (report, ()) = tokio::join!(world.run_in(&directory, controls), raising);
    assert_eq!(report.unwrap().result.failure, None);
    world.assert_exact();
    let bodies = world.destination.bodies();
    let (before, after): (Vec<_>, Vec<_>) = bodies.into_iter().partition(|b| b.opened < raised_at);
    assert_eq!(at_once(&before), 1);
    assert_lively(&before, 64 * KIB);
    assert_eq!(at_once(&after), 3);
    assert_lively(&after, 256 * KIB);
}

#[tokio::test(start_paused = true)]
async fn bytes_on_their_way_never_exceed_the_budget() {
    let mut tree = Tree::new();
    for number in 0..6u64 {
        tree.add(
            format!("large{number}"),
            EntryKind::File,
            bytes(number, 20 * MIB),
        );
    }
    for number in 0..200u64 {
        tree.add(
            format!("small{number}"),
            EntryKind::File,
            bytes(number, 700 * KIB),
        );
    }
    let source = MemorySource::new(tree).with_read_max(1 << 20);
    let mut world = World::of(source, MemoryDestination::new());
    world.options().verify_mode = VerifyMode::None;
    for operation in [Operation::Put, Operation::UploadPart] {
        let slow = Action::Delay(Duration::from_millis(50));
        world.at_destination(Fault::new(operation, slow));
    }
    // Below the rate of the source, so that bytes pile up.
    world.options().bytes_per_second = rate(50 * MIB);
    world.run_well().await;
    let held = world.destination.held_max();
    assert!(held <= 32 * MIB, "{held} bytes were on their way at once");
    assert!(held > 16 * MIB, "the budget is not used");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lifted_after_a_while_is_gone_within_a_second() {
    let mut tree = Tree::new();
    for number in 0..5_000u64 {
        tree.add(format!("f{number:04}"), EntryKind::File, vec![1; 4096]);
    }
    // 256 files a second; without the limit 64 requests in flight make 640 to begin with.
    let world = limited(tree, MIB);
    let latency = Action::Delay(Duration::from_millis(100));
    world.at_destination(Fault::new(Operation::Put, latency));
    let directory = world.directory();
    let (controls, handles) = world.controls();
    let lifting = async {
        sleep(Duration::from_secs(12)).await;
        handles
            .rate
            .send(datasync_model::BytesPerSecond::UNLIMITED)
            .unwrap();
        let before = world.destination.bodies().len();
        sleep(Duration::from_secs(1)).await;
        let done = world.destination.bodies().len() - before;
        assert!(done > 500, "{done} files in the second after it");
    };
    let (report, ()) = tokio::join!(world.run_in(&directory, controls), lifting);
    assert_eq!(report.unwrap().result.failure, None);
}
