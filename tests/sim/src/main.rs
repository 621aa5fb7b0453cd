//! Simulates many seeds and counts what happened.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use datasync_test_sim::{Counts, Scenario, shrunk, simulate};

/// Simulates seeds; each is a history of executions with faults.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Threads, each with seeds of its own.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// End with the first seed that fails.
    #[arg(long)]
    first_failure: bool,
    /// One seed only: what it stands for, and what is wrong.
    #[arg(long)]
    show: Option<u64>,
    /// Cut the scenario of `--show` down to what it needs to fail.
    #[arg(long)]
    shrink: bool,
    /// With `--show`: everything that can be seen.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.show {
        return show(seed, arguments.shrink, arguments.trace);
    }
    many(&arguments)
}

fn show(seed: u64, shrink: bool, traced: bool) -> ExitCode {
    let mut scenario = Scenario::of(seed);
    if shrink {
        scenario = shrunk(scenario);
    }
    println!("{}", scenario.shown());
    let outcome = simulate(&scenario, true);
    for line in outcome.lines.iter().filter(|_| traced) {
        println!("{line}");
    }
    for line in &outcome.wrong {
        println!("WRONG {line}");
    }
    println!("trace {:016x}", outcome.trace);
    if outcome.wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first.saturating_add(arguments.seeds);
    let (total, failed) = (Mutex::new(Counts::default()), AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let outcome = simulate(&Scenario::of(seed), false);
                    if !outcome.wrong.is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        if arguments.first_failure {
                            next.store(end, Ordering::Relaxed);
                        }
                        println!("seed {seed} failed: {}", outcome.wrong.join("\n  "));
                    }
                    if let Ok(mut total) = total.lock() {
                        total.merge(&outcome.faults);
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let seeds = arguments.seeds;
    println!(
        "{seeds} seeds in {seconds:.1} s: {:.1} a second",
        seeds as f64 / seconds
    );
    let total = total.into_inner().unwrap_or_default();
    let mut is_good = failed.into_inner() == 0;
    for (kind, count) in total.all() {
        println!("{count:>9} {kind}");
        is_good &= count > 0;
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        println!("FAILED: a seed failed, or a kind of fault never happened");
        ExitCode::FAILURE
    }
}
