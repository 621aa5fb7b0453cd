use std::path::Path;
use std::time::Duration;

use datasync_model::{
    Excludes, Includes, Location, NfsLocation, NfsVersion, Options, Pair, PhaseStatus, TaskMode,
};

use super::*;

const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) fn spec(number: u8) -> ExecutionSpec {
    let pair = Pair {
        object_to_object: false,
        storage_class: None,
    };
    let location = || {
        Location::Nfs(NfsLocation {
            arn: "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0"
                .parse()
                .unwrap(),
            server_hostname: "nas.test".to_owned(),
            subdirectory: "/".to_owned(),
            version: NfsVersion::Automatic,
        })
    };
    ExecutionSpec {
        execution: format!(
            "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0123456789abcde{number:02x}"
        )
        .parse()
        .unwrap(),
        task_mode: TaskMode::Basic,
        source: location(),
        destination: location(),
        options: Options::defaults(TaskMode::Basic, pair),
        includes: Includes::default(),
        excludes: Excludes::default(),
        extensions: datasync_model::Extensions::default(),
    }
}

fn desired(number: u8, rate: i64, cancel: bool) -> DesiredExecution {
    DesiredExecution::new(&spec(number), Rate::try_from(rate).unwrap(), cancel)
}

fn success(execution: &TaskExecutionArn) -> ExecutionReport {
    let mut report = launching(execution.clone());
    report.status = ExecutionStatus::Success;
    report
}

/// Reports TRANSFERRING, then ends by cancel, by a rate of 7, or by being stopped.
fn patient() -> Work {
    Arc::new(|mut assignment: Assignment| {
        Box::pin(async move {
            let execution = assignment.spec.execution.clone();
            let mut report = launching(execution.clone());
            report.status = ExecutionStatus::Transferring;
            report.counters.discovered = 3;
            assignment.reports.send_replace(report);
            let lowered = async {
                let seven = |rate: &BytesPerSecond| i64::from(*rate) == 7;
                assignment.rate.wait_for(seven).await.map(|_| ())
            };
            tokio::select! {
                biased;
                () = assignment.stop.cancelled() => None,
                () = assignment.cancel.cancelled() => {
                    let failure = Failure::new(ErrorCode::Cancelled, "cancelled");
                    Some(failed(execution, failure))
                }
                _ = lowered => Some(success(&execution)),
            }
        })
    })
}

fn open(root: &Path, work: Work) -> Executions {
    let state = Arc::new(StateDir::open(root).unwrap());
    Executions::resume(state, work, 8).unwrap()
}

/// Waits for a report of `number` with `status`.
async fn until(
    executions: &mut Executions,
    number: u8,
    status: ExecutionStatus,
) -> ExecutionReport {
    let wanted = spec(number).execution;
    let mut last = None;
    for _ in 0..2000 {
        for report in executions.due_reports(true) {
            if report.execution == wanted {
                if report.status == status {
                    return report;
                }
                last = Some(report);
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no {status} of {wanted}, last {last:?}");
}

fn folders(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(root.join(EXECUTIONS))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_control_lists_again_while_it_is_forgotten_begins_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    executions.apply(&[desired(1, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.apply(&[]);
    executions.apply(&[desired(1, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.stop(DEADLINE).await;
}

#[tokio::test]
async fn an_execution_runs_ends_and_is_forgotten_when_control_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    executions.apply(&[desired(1, -1, false), desired(2, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.apply(&[desired(1, 7, false), desired(2, -1, true)]);
    until(&mut executions, 1, ExecutionStatus::Success).await;
    let report = until(&mut executions, 2, ExecutionStatus::Error).await;
    assert_eq!(report.result.failure.unwrap().code, ErrorCode::Cancelled);
    assert!(executions.due_reports(false).is_empty());
    assert_eq!(
        executions.due_reports(true).len(),
        2,
        "repeated until control forgets"
    );
    executions.apply(&[desired(2, -1, true)]);
    assert_eq!(folders(scratch.path()), [spec(2).execution.id()]);
    executions.apply(&[]);
    assert!(folders(scratch.path()).is_empty());
}

#[tokio::test]
async fn a_restart_resumes_what_runs_and_repeats_what_ended() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    executions.apply(&[desired(1, 7, false), desired(2, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Success).await;
    until(&mut executions, 2, ExecutionStatus::Transferring).await;
    executions.stop(DEADLINE).await;
    drop(executions);

    let mut executions = open(scratch.path(), patient());
    until(&mut executions, 1, ExecutionStatus::Success).await;
    until(&mut executions, 2, ExecutionStatus::Transferring).await;
    // The order that came last is in force after a restart, without control.
    executions.apply(&[desired(1, 7, false), desired(2, 5, true)]);
    executions.stop(DEADLINE).await;
    drop(executions);
    let mut executions = open(scratch.path(), patient());
    until(&mut executions, 2, ExecutionStatus::Error).await;
}

#[tokio::test]
async fn a_timetable_and_the_limit_that_overrides_it_outlive_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let mut spec = spec(1);
    spec.extensions.bandwidth_timetable = Some("UTC 7".parse().unwrap());
    let desired = |rate: i64| DesiredExecution::new(&spec, Rate::try_from(rate).unwrap(), false);
    let mut executions = open(scratch.path(), patient());
    executions.apply(&[desired(5)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.stop(DEADLINE).await;
    drop(executions);
    let mut executions = open(scratch.path(), patient());
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.apply(&[desired(i64::from(Rate::Timetable))]);
    until(&mut executions, 1, ExecutionStatus::Success).await;
}

#[tokio::test]
async fn an_execution_that_control_forgot_is_cancelled_and_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    executions.apply(&[desired(1, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.apply(&[]);
    while !folders(scratch.path()).is_empty() {
        assert!(executions.due_reports(false).is_empty());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_panic_ends_its_execution_and_no_other() {
    let scratch = tempfile::tempdir().unwrap();
    let bad = spec(1).execution;
    let calm = patient();
    let work: Work = Arc::new(move |assignment: Assignment| {
        if assignment.spec.execution == bad {
            return Box::pin(async { panic!("defect") });
        }
        calm(assignment)
    });
    let mut executions = open(scratch.path(), work);
    executions.apply(&[desired(1, -1, false), desired(2, -1, false)]);
    let report = until(&mut executions, 1, ExecutionStatus::Error).await;
    assert_eq!(report.result.failure.unwrap().code, ErrorCode::Internal);
    executions.apply(&[desired(1, -1, false), desired(2, 7, false)]);
    until(&mut executions, 2, ExecutionStatus::Success).await;
}

#[tokio::test]
async fn a_spec_of_the_future_is_reported_and_not_forgotten() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    let mut unknown = desired(1, -1, false);
    unknown.spec_json = unknown.spec_json.replace("\"BASIC\"", "\"QUANTUM\"");
    executions.apply(std::slice::from_ref(&unknown));
    let report = until(&mut executions, 1, ExecutionStatus::Error).await;
    let failure = report.result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::NotSupported);
    assert!(failure.detail.contains("update the agent"), "{failure}");
    executions.apply(&[unknown]);
    assert_eq!(executions.due_reports(true).len(), 1);
}

#[tokio::test]
async fn discarding_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    executions.apply(&[desired(1, -1, false), desired(2, 7, false)]);
    until(&mut executions, 2, ExecutionStatus::Success).await;
    executions.discard(DEADLINE).await;
    assert!(folders(scratch.path()).is_empty());
    executions.apply(&[desired(3, -1, false)]);
    until(&mut executions, 3, ExecutionStatus::Transferring).await;
}

#[tokio::test]
async fn an_execution_waits_for_its_turn() {
    let scratch = tempfile::tempdir().unwrap();
    let state = Arc::new(StateDir::open(scratch.path()).unwrap());
    let mut executions = Executions::resume(state, patient(), 1).unwrap();
    executions.apply(&[desired(1, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.apply(&[desired(1, -1, false), desired(2, -1, false)]);
    let waiting = until(&mut executions, 2, ExecutionStatus::Launching).await;
    assert_eq!(waiting.result.prepare_status, PhaseStatus::Pending);
    executions.apply(&[desired(1, 7, false), desired(2, -1, false)]);
    until(&mut executions, 2, ExecutionStatus::Transferring).await;
}

#[tokio::test]
async fn a_disk_that_refuses_ends_the_execution_with_its_own_error() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    // A file where the folder must be made.
    let path = scratch.path().join(EXECUTIONS).join(spec(1).execution.id());
    std::fs::write(path, b"").unwrap();
    executions.apply(&[desired(1, -1, false)]);
    let report = until(&mut executions, 1, ExecutionStatus::Error).await;
    let failure = report.result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::LocalStateFault);
}

#[tokio::test]
async fn what_an_earlier_life_left_is_not_gone_on_with() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    let folder = |number| {
        let folder = spec(number).execution.id().to_owned();
        scratch.path().join(EXECUTIONS).join(folder)
    };
    for number in [1, 2] {
        std::fs::create_dir(folder(number)).unwrap();
        for file in ["journal", "concluded.json", "report.json"] {
            std::fs::write(folder(number).join(file), b"").unwrap();
        }
    }
    // That one was not removed in part: its description is damaged.
    std::fs::write(folder(2).join("spec.json"), b"").unwrap();
    executions.apply(&[desired(1, -1, false), desired(2, -1, false)]);
    for number in [1, 2] {
        until(&mut executions, number, ExecutionStatus::Transferring).await;
    }
    for file in ["journal", "concluded.json", "report.json"] {
        assert!(!folder(1).join(file).exists(), "{file}");
        assert!(folder(2).join(file).exists(), "{file}");
    }
    executions.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_cancel_is_seen_while_an_execution_waits_for_its_turn() {
    let scratch = tempfile::tempdir().unwrap();
    let state = Arc::new(StateDir::open(scratch.path()).unwrap());
    let mut executions = Executions::resume(state, patient(), 1).unwrap();
    executions.apply(&[desired(1, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.apply(&[desired(1, -1, false), desired(2, -1, false)]);
    until(&mut executions, 2, ExecutionStatus::Launching).await;
    executions.apply(&[desired(1, -1, false), desired(2, -1, true)]);
    let report = until(&mut executions, 2, ExecutionStatus::Error).await;
    assert_eq!(report.result.failure.unwrap().code, ErrorCode::Cancelled);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
}

#[tokio::test(start_paused = true)]
async fn an_end_is_repeated_while_control_wants_the_execution() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), patient());
    executions.apply(&[desired(1, 7, false), desired(2, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Success).await;
    until(&mut executions, 2, ExecutionStatus::Transferring).await;
    executions.due_reports(true);
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(executions.due_reports(false).is_empty());
    tokio::time::advance(Duration::from_secs(1)).await;
    let [report] = &executions.due_reports(false)[..] else {
        panic!("only the end is repeated");
    };
    assert_eq!(report.status, ExecutionStatus::Success);
    assert!(executions.due_reports(false).is_empty());
}

/// Ends `time` after its cancel, or when its patience ends.
fn slow_to_end(time: Duration) -> Work {
    Arc::new(move |assignment: Assignment| {
        Box::pin(async move {
            let execution = assignment.spec.execution.clone();
            let mut report = launching(execution.clone());
            report.status = ExecutionStatus::Transferring;
            assignment.reports.send_replace(report);
            std::fs::write(assignment.directory.join("journal"), b"").unwrap();
            tokio::select! {
                () = assignment.stop.cancelled() => return None,
                () = assignment.cancel.cancelled() => {}
            }
            let detail = tokio::select! {
                () = tokio::time::sleep(time) => "cleaned up",
                () = assignment.give_up.cancelled() => "given up",
            };
            let failure = Failure::new(ErrorCode::Cancelled, detail);
            std::fs::write(assignment.directory.with_extension("end"), detail).unwrap();
            Some(failed(execution, failure))
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_execution_gives_up_within_seconds() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), slow_to_end(Duration::from_secs(60)));
    executions.apply(&[desired(1, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    let cancelled = Instant::now();
    executions.apply(&[desired(1, -1, true)]);
    while !executions.here[spec(1).execution.id()].has_ended() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = cancelled.elapsed();
    assert!(
        took > Duration::from_secs(3) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_resumed_execution_that_is_cancelled_needs_no_slot_to_clean_up() {
    let scratch = tempfile::tempdir().unwrap();
    let slow = || slow_to_end(Duration::ZERO);
    let mut executions = open(scratch.path(), slow());
    executions.apply(&[desired(1, -1, false), desired(2, -1, false)]);
    for number in [1, 2] {
        until(&mut executions, number, ExecutionStatus::Transferring).await;
    }
    executions.stop(DEADLINE).await;
    drop(executions);
    let state = Arc::new(StateDir::open(scratch.path()).unwrap());
    let mut executions = Executions::resume(state, slow(), 1).unwrap();
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    until(&mut executions, 2, ExecutionStatus::Launching).await;
    executions.apply(&[desired(1, -1, false), desired(2, -1, true)]);
    let report = until(&mut executions, 2, ExecutionStatus::Error).await;
    assert_eq!(report.result.failure.unwrap().detail, "cleaned up");
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
}

#[tokio::test(start_paused = true)]
async fn discarding_lets_executions_clean_up() {
    let scratch = tempfile::tempdir().unwrap();
    let mut executions = open(scratch.path(), slow_to_end(Duration::from_secs(3)));
    executions.apply(&[desired(1, -1, false)]);
    until(&mut executions, 1, ExecutionStatus::Transferring).await;
    executions.discard(DEADLINE).await;
    let id = spec(1).execution.id().to_owned();
    assert_eq!(folders(scratch.path()), [format!("{id}.end")]);
    let end = scratch.path().join(EXECUTIONS).join(format!("{id}.end"));
    assert_eq!(std::fs::read_to_string(end).unwrap(), "cleaned up");
}

#[tokio::test(start_paused = true)]
async fn discarding_cuts_what_does_not_end() {
    let scratch = tempfile::tempdir().unwrap();
    let deaf: Work = Arc::new(|_| Box::pin(std::future::pending()));
    let mut executions = open(scratch.path(), deaf);
    executions.apply(&[desired(1, -1, false)]);
    // Its turn has come.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = Instant::now();
    executions.discard(DEADLINE).await;
    assert_eq!(begun.elapsed().as_secs(), DEADLINE.as_secs());
    assert!(folders(scratch.path()).is_empty());
}
