//! Control and agent in one process, with the real engine between in-memory ends: messages that get
//! lost, an agent that is killed or stopped, a control that cancels, changes rates and forgets.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use datasync_endpoint::memory::{
    Action, EPOCH, Fault, MemoryDestination, MemorySource, Operation, Tree, differences, expected,
};
use datasync_model::{Rate, Scope};
use datasync_test_sim::{Random, run_deterministically};
use datasync_transfer::{Controls, Settings};

use super::tests::spec;
use super::*;

/// What control knows and wants.
#[derive(Debug, Default)]
struct Control {
    wanted: BTreeMap<u8, (i64, bool)>,
    /// The ends that it has taken note of.
    ended: BTreeMap<u8, ExecutionReport>,
    wrong: Vec<String>,
}

impl Control {
    fn desired(&self) -> Vec<DesiredExecution> {
        let wanted = self.wanted.iter();
        wanted
            .map(|(number, (rate, cancel))| {
                DesiredExecution::new(&spec(*number), Rate::try_from(*rate).unwrap(), *cancel)
            })
            .collect()
    }

    /// I7: a terminal state is entered once; reports after it change nothing.
    fn take(&mut self, report: ExecutionReport) {
        let is_of = |number: &u8| spec(*number).execution == report.execution;
        let Some(number) = (0..EXECUTIONS_MAX).find(is_of) else {
            self.wrong.push(format!("a report of nothing: {report:?}"));
            return;
        };
        match self.ended.get(&number) {
            Some(end) if *end != report => {
                self.wrong.push(format!("I7: {end:?}, then {report:?}"));
            }
            _ if report.status.is_terminal() => {
                self.ended.insert(number, report);
                self.wanted.remove(&number);
            }
            _ => {}
        }
    }

    /// What the user does.
    fn act(&mut self, random: &mut Random, next: &mut u8) {
        let numbers: Vec<u8> = self.wanted.keys().copied().collect();
        match random.below(6) {
            0..=2 if *next < EXECUTIONS_MAX => {
                self.wanted.insert(*next, (-1, false));
                *next += 1;
            }
            3 if !numbers.is_empty() => {
                let order = self.wanted.get_mut(&random.pick(&numbers));
                order.unwrap().0 = random.pick(&[-1, 20_000, 300_000]);
            }
            4 if !numbers.is_empty() => {
                self.wanted.get_mut(&random.pick(&numbers)).unwrap().1 = true;
            }
            _ => {}
        }
    }
}

const EXECUTIONS_MAX: u8 = 5;
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The engine, with what [`Runner`] would give it.
fn engine(source: Arc<MemorySource>, destination: Arc<MemoryDestination>) -> Work {
    Arc::new(move |assignment: Assignment| {
        let (source, destination) = (source.clone(), destination.clone());
        Box::pin(async move {
            let controls = Controls {
                cancel: assignment.cancel,
                stop: assignment.stop,
                rate: assignment.rate,
                reports: assignment.reports,
            };
            let settings = Settings {
                memory_target_bytes: 64 << 20,
                now_seconds: || EPOCH,
                ..Settings::default()
            };
            let (spec, directory) = (&assignment.spec, &assignment.directory);
            let run =
                datasync_transfer::run(spec, source, destination, directory, settings, controls);
            Box::pin(run).await.ok()
        })
    })
}

fn ends(random: &mut Random) -> (Arc<MemorySource>, Arc<MemoryDestination>) {
    let mut tree = Tree::new();
    for file in 0..3 + random.below(12) {
        tree = tree.file(
            format!("d{}/f{file}", file % 3),
            vec![b'x'; 100 + usize::from(file as u8)],
        );
    }
    let source = Arc::new(MemorySource::new(tree).with_page(2));
    let abilities = |abilities: &mut datasync_endpoint::Abilities| abilities.put_max = 104;
    let destination = MemoryDestination::new().with_abilities(abilities);
    for operation in [
        Operation::Put,
        Operation::UploadPart,
        Operation::CreateUpload,
    ] {
        let slow = Duration::from_millis(random.below(4000));
        destination
            .script()
            .add(Fault::new(operation, Action::Delay(slow)));
        let lost = Action::LoseReply(datasync_endpoint::ErrorKind::Timeout);
        destination
            .script()
            .add(Fault::new(operation, lost).after(random.below(9)).times(1));
    }
    (source, Arc::new(destination))
}

fn agent(root: &Path, work: &Work) -> Executions {
    let state = Arc::new(StateDir::open(root).unwrap());
    Executions::resume(state, Arc::clone(work), 1).unwrap()
}

/// A hundred seconds with faults, then none.
async fn simulate(seed: u64) -> (Vec<String>, Vec<ExecutionStatus>) {
    let mut random = Random::new(seed);
    let scratch = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let (source, destination) = ends(&mut random);
    let work = engine(source.clone(), destination.clone());
    let mut here = agent(scratch.path(), &work);
    let (mut control, mut next) = (Control::default(), 0);
    for _ in 0..40 {
        control.act(&mut random, &mut next);
        let is_connected = random.percent(70);
        if is_connected {
            here.apply(&control.desired());
        }
        tokio::time::sleep(Duration::from_millis(random.below(5000))).await;
        let reports = here.due_reports(random.percent(20));
        if is_connected {
            reports.into_iter().for_each(|report| control.take(report));
        }
        let end = random.below(12);
        if end == 0 {
            here.stop(Duration::from_secs(5)).await;
        }
        if end <= 1 {
            drop(here);
            // What was aborted is gone.
            tokio::time::sleep(Duration::from_millis(1)).await;
            here = agent(scratch.path(), &work);
        }
    }
    settle(&mut here, &mut control).await;
    let ends = control.ended.values().map(|report| report.status).collect();
    let wrong = judge(here, control, scratch.path(), &source, &destination);
    (wrong, ends)
}

/// No faults any more: control and agent agree within two heartbeats (I12), and all ends (I9).
async fn settle(here: &mut Executions, control: &mut Control) {
    for beat in 0..200 {
        here.apply(&control.desired());
        here.due_reports(true)
            .into_iter()
            .for_each(|report| control.take(report));
        let running: Vec<&String> = here.here.keys().collect();
        let wanted = control.desired();
        if beat >= 2 && running.len() != wanted.len() {
            let line = format!("I12: {running:?} run, {} are wanted", wanted.len());
            control.wrong.push(line);
        }
        if wanted.is_empty() && running.is_empty() {
            return;
        }
        here.apply(&control.desired());
        tokio::time::sleep(HEARTBEAT).await;
    }
    control
        .wrong
        .push(format!("I9: {:?} do not end", control.wanted));
}

fn judge(
    here: Executions,
    control: Control,
    root: &Path,
    source: &MemorySource,
    destination: &MemoryDestination,
) -> Vec<String> {
    let mut wrong = control.wrong;
    drop(here);
    let folders = std::fs::read_dir(root.join(EXECUTIONS)).unwrap().count();
    if folders > 0 {
        wrong.push(format!(
            "{folders} executions are left in the state directory"
        ));
    }
    let open = destination.open_upload_keys();
    if !open.is_empty() {
        wrong.push(format!("I10: uploads of {open:?} stay open"));
    }
    let ended = control.ended.values();
    if ended
        .clone()
        .any(|report| report.status == ExecutionStatus::Success)
    {
        let wanted = expected(
            &source.snapshot(),
            &spec(0).options,
            &Scope::default(),
            true,
        );
        wrong.extend(differences(&wanted, &destination.snapshot()));
    }
    let failures = ended.filter_map(|report| report.result.failure.as_ref());
    let unexpected = failures.filter(|failure| failure.code != ErrorCode::Cancelled);
    wrong.extend(unexpected.map(|failure| format!("ended with {failure}")));
    wrong
}

#[test]
fn control_and_agent_agree_whatever_is_lost_between_them() {
    let (mut good, mut cancelled) = (0, 0);
    for seed in 0..60 {
        let (wrong, ends) = run_deterministically(simulate(seed));
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
        let are_good = ends
            .iter()
            .filter(|status| **status == ExecutionStatus::Success);
        good += are_good.count();
        cancelled += ends.len();
    }
    cancelled -= good;
    assert!(
        good > 50 && cancelled > 20,
        "{good} ended well, {cancelled} were cancelled"
    );
}
