//! The simulation as part of the ordinary tests. `tests/sim/run` does the same with many more seeds.

#![allow(clippy::panic, reason = "clippy knows only functions marked as tests")]

use std::thread;

use datasync_test_sim::{Scenario, shrunk, simulate};

/// Fails with the smallest scenario that still fails.
fn check(seed: u64) {
    let scenario = Scenario::of(seed);
    let outcome = simulate(&scenario, false);
    if !outcome.wrong.is_empty() {
        let smallest = shrunk(scenario);
        let wrong = simulate(&smallest, false).wrong;
        panic!(
            "seed {seed} fails:\n{}\ncut down to\n{}\nwhich fails with\n{}",
            outcome.wrong.join("\n"),
            smallest.shown(),
            wrong.join("\n"),
        );
    }
}

#[test]
fn five_hundred_seeds_keep_the_invariants_and_end_as_the_model_says() {
    thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || (first..500).step_by(2).for_each(check));
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run_bit_for_bit() {
    for seed in 1000..1060 {
        let scenario = Scenario::of(seed);
        let (first, second) = (simulate(&scenario, true), simulate(&scenario, true));
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}
