//! The processes of one execution, up to its terminal report.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datasync_model::{BytesPerSecond, ExecutionReport, ExecutionSpec, ExecutionStatus};
use datasync_transfer::{Controls, FAILURES_FILE, ListedItem, run};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::crash;
use crate::faults::Counts;
use crate::scenario::{Execution, Interruption};
use crate::world::{World, rate, spec};

/// Virtual time after which a process hangs (I9).
const HUNG: Duration = Duration::from_secs(6 * 3600);

/// What one process was seen to do.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) began: Instant,
    /// Its reports, in order.
    pub(crate) reports: Vec<(Instant, ExecutionReport)>,
    /// The limits that held, each from then on.
    pub(crate) limits: Vec<(Instant, Option<u64>)>,
}

/// What an execution was seen to do.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` if it did not end.
    pub(crate) report: Option<ExecutionReport>,
    pub(crate) processes: Vec<Process>,
    pub(crate) listed: Vec<ListedItem>,
    pub(crate) was_killed: bool,
    /// Records that somebody waited for were lost.
    pub(crate) lost_records: bool,
    pub(crate) was_cancelled: bool,
    /// What must never happen, and did.
    pub(crate) wrong: Vec<String>,
}

type Shared<T> = Arc<Mutex<T>>;

fn locked<T>(shared: &Shared<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a process ended.
enum End {
    Done(Box<ExecutionReport>),
    Interrupted,
    Wrong(String),
}

/// Runs an execution to its end, through all of its interruptions.
pub(crate) async fn run_execution(
    world: &World,
    execution: &Execution,
    directory: &Path,
    counts: &mut Counts,
) -> Ran {
    let mut ran = Ran {
        report: None,
        processes: Vec::new(),
        listed: Vec::new(),
        was_killed: false,
        lost_records: false,
        was_cancelled: false,
        wrong: Vec::new(),
    };
    let spec = spec(execution);
    let mut interruptions: VecDeque<_> = execution.interruptions.iter().copied().collect();
    let mut rates = &execution.rates[..];
    let mut limit = execution.rate;
    loop {
        let interruption = interruptions.pop_front();
        let (end, process) = one(world, &spec, directory, limit, rates, interruption).await;
        counts_of(&process, interruption, &end, counts);
        limit = process.limits.last().map_or(limit, |(_, limit)| *limit);
        rates = &[];
        ran.processes.push(process);
        match end {
            End::Done(report) => {
                ran.was_cancelled |= matches!(interruption, Some((_, Interruption::Cancel)));
                ran.report = Some(*report);
                break;
            }
            End::Wrong(what) => {
                ran.wrong.push(what);
                break;
            }
            End::Interrupted => {}
        }
        let lost = match interruption {
            Some((_, Interruption::PowerCut(n))) => crash::power_cut(directory, n).unwrap(),
            Some((_, Interruption::Prefix(n))) => crash::prefix(directory, n).unwrap(),
            _ => false,
        };
        if lost {
            counts.add("journal torn");
        }
        ran.lost_records |= lost && matches!(interruption, Some((_, Interruption::Prefix(_))));
        ran.was_killed = true;
    }
    match listed(directory) {
        Ok(listed) => ran.listed = listed,
        Err(error) => ran.wrong.push(format!("the list cannot be read: {error}")),
    }
    ran
}

fn counts_of(
    process: &Process,
    interruption: Option<(u64, Interruption)>,
    end: &End,
    counts: &mut Counts,
) {
    for _ in process.limits.iter().skip(1) {
        counts.add("rate changed");
    }
    let was_interrupted = matches!(end, End::Interrupted);
    match interruption {
        Some((_, Interruption::Kill | Interruption::Prefix(_))) if was_interrupted => {
            counts.add("killed")
        }
        Some((_, Interruption::PowerCut(_))) if was_interrupted => counts.add("power cut"),
        Some((_, Interruption::Stop)) if was_interrupted => counts.add("stopped"),
        Some((_, Interruption::Cancel)) => counts.add("cancelled"),
        _ => {}
    }
}

fn listed(directory: &Path) -> std::io::Result<Vec<ListedItem>> {
    let text = std::fs::read_to_string(directory.join(FAILURES_FILE))?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

async fn one(
    world: &World,
    spec: &ExecutionSpec,
    directory: &Path,
    limit: Option<u64>,
    rates: &[(u64, Option<u64>)],
    interruption: Option<(u64, Interruption)>,
) -> (End, Process) {
    let began = Instant::now();
    let (cancel, stop) = (CancellationToken::new(), CancellationToken::new());
    let (limits, limited) = watch::channel(rate(limit));
    let (reports, told) = watch::channel(launching(spec));
    let seen: Shared<Vec<_>> = Arc::default();
    let set: Shared<Vec<_>> = Arc::new(Mutex::new(vec![(began, limit)]));
    let mut helpers = JoinSet::new();
    helpers.spawn(watch_reports(told, Arc::clone(&seen)));
    helpers.spawn(change_rates(limits, rates.to_vec(), Arc::clone(&set)));
    let controls = Controls {
        cancel: cancel.clone(),
        stop: stop.clone(),
        rate: limited,
        reports,
    };
    let running = run(
        spec,
        world.source.clone(),
        world.destination.clone(),
        directory,
        world.settings.clone(),
        controls,
    );
    let mut running = Box::pin(timeout(HUNG, running));
    let interrupted = async {
        match interruption {
            Some((ms, _)) => sleep(Duration::from_millis(ms)).await,
            None => std::future::pending().await,
        }
    };
    let first = tokio::select! {
        biased;
        ended = &mut running => Some(ended),
        () = interrupted => None,
    };
    let ended = match (first, interruption) {
        (Some(ended), _) => Some(ended),
        (None, Some((_, Interruption::Stop))) => {
            stop.cancel();
            Some(running.await)
        }
        (None, Some((_, Interruption::Cancel))) => {
            cancel.cancel();
            Some(running.await)
        }
        (None, _) => {
            drop(running);
            None
        }
    };
    // What was aborted is gone, and the last report is seen.
    sleep(Duration::from_millis(1)).await;
    helpers.shutdown().await;
    let end = match ended {
        None => End::Interrupted,
        Some(Ok(Ok(report))) => End::Done(Box::new(report)),
        Some(Ok(Err(_))) if stop.is_cancelled() => End::Interrupted,
        Some(Ok(Err(error))) => End::Wrong(format!("I9: {error}")),
        Some(Err(_)) => End::Wrong("I9: it hangs".to_owned()),
    };
    let process = Process {
        began,
        reports: std::mem::take(&mut locked(&seen)),
        limits: std::mem::take(&mut locked(&set)),
    };
    (end, process)
}

fn launching(spec: &ExecutionSpec) -> ExecutionReport {
    ExecutionReport {
        execution: spec.execution.clone(),
        status: ExecutionStatus::Launching,
        counters: Default::default(),
        result: Default::default(),
        telemetry: Default::default(),
    }
}

async fn watch_reports(
    mut told: watch::Receiver<ExecutionReport>,
    seen: Shared<Vec<(Instant, ExecutionReport)>>,
) {
    while told.changed().await.is_ok() {
        let report = told.borrow_and_update().clone();
        locked(&seen).push((Instant::now(), report));
    }
}

async fn change_rates(
    limits: watch::Sender<BytesPerSecond>,
    rates: Vec<(u64, Option<u64>)>,
    set: Shared<Vec<(Instant, Option<u64>)>>,
) {
    for (ms, limit) in rates {
        sleep(Duration::from_millis(ms)).await;
        locked(&set).push((Instant::now(), limit));
        limits.send_replace(rate(limit));
    }
    // The engine takes a sender that is gone for the last word.
    std::future::pending().await
}
