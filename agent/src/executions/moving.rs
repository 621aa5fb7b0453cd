//! Two agents and a control that gives an execution to the one when the other is silent for too long,
//! in one process, with the real engine between in-memory ends: messages that are late or lost,
//! agents that are cut off, killed and come back.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use datasync_endpoint::memory::{
    Action, EPOCH, Fault, MemoryDestination, MemorySource, Operation, Tree, differences, expected,
};
use datasync_model::{Rate, Scope};
use datasync_proto::HeartbeatAck;
use datasync_test_sim::{Random, run_deterministically};
use datasync_transfer::{Controls, Settings};

use super::fence::{Fence, Fenced};
use super::tests::spec;
use super::*;
use crate::lease::tests::tokio_time;
use crate::lease::{Lease, LeaseHolder};

const AGENTS: usize = 2;
const BEAT: Duration = Duration::from_secs(1);
const FAILOVER_AFTER: Duration = Duration::from_secs(16);
const LEASE: Duration = Duration::from_secs(14);

/// Who could write, from when to when.
type Spans = Arc<Mutex<Vec<(usize, Instant, Instant)>>>;

/// Notes its span when it ends, however it ends.
struct Writing {
    spans: Spans,
    agent: usize,
    began: Instant,
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.push((self.agent, self.began, Instant::now()));
    }
}

#[derive(Clone)]
struct Ends {
    source: Arc<MemorySource>,
    destination: Arc<MemoryDestination>,
    spans: Spans,
}

impl Ends {
    fn new(random: &mut Random) -> Self {
        let mut tree = Tree::new();
        for file in 0..30 + random.below(30) {
            let content = vec![b'x'; 100 + usize::from(file as u8)];
            tree = tree.file(format!("d{}/f{file}", file % 5), content);
        }
        let abilities = |abilities: &mut datasync_endpoint::Abilities| abilities.put_max = 104;
        let destination = MemoryDestination::new().with_abilities(abilities);
        for operation in [
            Operation::Put,
            Operation::UploadPart,
            Operation::CompleteUpload,
        ] {
            // Minutes for all of it.
            let slow = Duration::from_secs(20 + random.below(60));
            let slow = Fault::new(operation, Action::Delay(slow));
            destination.script().add(slow);
        }
        Self {
            source: Arc::new(MemorySource::new(tree).with_page(7)),
            destination: Arc::new(destination),
            spans: Spans::default(),
        }
    }

    /// The engine under a lease, with what [`Runner`] would give it.
    fn work(&self, agent: usize, lease: Lease) -> Work {
        let ends = self.clone();
        Arc::new(move |assignment: Assignment| {
            let (ends, lease) = (ends.clone(), lease.clone());
            Box::pin(async move {
                loop {
                    tokio::select! {
                        biased;
                        () = assignment.stop.cancelled() => return None,
                        () = lease.begun() => {}
                    }
                    let fence = Fence::new(Some(lease.clone()), assignment.stop.child_token());
                    match ends.run(&assignment, agent, &fence).await {
                        Some(report) => return Some(report),
                        None if assignment.stop.is_cancelled() => return None,
                        None => {}
                    }
                }
            })
        })
    }

    async fn run(&self, assignment: &Assignment, agent: usize, fence: &Fence) -> Ended {
        let _writing = Writing {
            spans: self.spans.clone(),
            agent,
            began: Instant::now(),
        };
        let controls = Controls {
            cancel: assignment.cancel.clone(),
            stop: fence.run().clone(),
            rate: assignment.rate.clone(),
            reports: assignment.reports.clone(),
        };
        let settings = Settings {
            memory_target_bytes: 64 << 20,
            now_seconds: || EPOCH,
            ..Settings::default()
        };
        let destination = Arc::new(Fenced::new(self.destination.clone(), fence.clone()));
        let (spec, directory) = (&assignment.spec, &assignment.directory);
        let source = self.source.clone();
        let mut run = Box::pin(datasync_transfer::run(
            spec,
            source,
            destination,
            directory,
            settings,
            controls,
        ));
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = fence.shut() => run.await,
        };
        ended.ok()
    }
}

/// An agent's process, and its way to control.
struct Agent {
    /// `None` while it is being killed.
    here: Option<Executions>,
    lease: LeaseHolder,
    session_began: Duration,
    cut_until: Instant,
    /// An answer on its way: when it arrives, and the heartbeat that it counts from.
    answer: Option<(Instant, Duration)>,
}

impl Agent {
    fn start(root: &Path, number: usize, ends: &Ends) -> Self {
        let lease = LeaseHolder::new(tokio_time);
        let state = Arc::new(StateDir::open(&root.join(number.to_string())).unwrap());
        let work = ends.work(number, lease.lease());
        Self {
            here: Some(Executions::resume(state, work, 1).unwrap()),
            session_began: lease.now(),
            lease,
            cut_until: Instant::now(),
            answer: None,
        }
    }

    async fn kill(&mut self) {
        self.here = None;
        // What was aborted is gone.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

struct Control {
    owner: usize,
    tenure: Tenure,
    heard: [Instant; AGENTS],
    moves: u64,
    end: Option<ExecutionReport>,
}

impl Control {
    fn desired(&self, agent: usize) -> Vec<DesiredExecution> {
        let rate = Rate::try_from(-1).unwrap();
        let wanted = DesiredExecution::new(&spec(0), rate, false).under(self.tenure);
        let is_its = self.owner == agent && self.end.is_none();
        is_its.then_some(wanted).into_iter().collect()
    }

    /// A heartbeat arrives: what is wanted goes back first, then the answer.
    fn beat(
        &mut self,
        number: usize,
        here: &mut Executions,
        random: &mut Random,
    ) -> (Instant, Duration) {
        self.heard[number] = Instant::now();
        here.apply(&self.desired(number));
        for report in here.due_reports(random.percent(20)) {
            let is_its = here.epoch(&report.execution) == self.tenure.epoch;
            if self.owner == number && is_its && report.status.is_terminal() {
                self.end = Some(report);
            }
        }
        let late = Duration::from_millis(random.below(3000));
        (Instant::now() + late, tokio_time())
    }

    fn plan(&mut self, agents: &[Agent]) {
        let other = 1 - self.owner;
        let is_gone = self.heard[self.owner].elapsed() >= FAILOVER_AFTER;
        if is_gone && agents[other].cut_until <= Instant::now() && self.end.is_none() {
            (self.owner, self.tenure) = (other, self.tenure.next(true));
            self.moves += 1;
        }
    }
}

async fn simulate(seed: u64) -> (Vec<String>, u64) {
    let mut random = Random::new(seed);
    let scratch = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let ends = Ends::new(&mut random);
    let now = Instant::now();
    let mut agents = [0, 1].map(|number| Agent::start(scratch.path(), number, &ends));
    let mut control = Control {
        owner: 0,
        tenure: Tenure::default().next(true),
        heard: [now; AGENTS],
        moves: 0,
        end: None,
    };
    for step in 0..3000 {
        let is_faulty = step < 200;
        for (number, agent) in agents.iter_mut().enumerate() {
            if is_faulty && random.percent(4) {
                agent.cut_until = Instant::now() + Duration::from_secs(random.below(60));
            }
            if is_faulty && random.percent(1) {
                agent.kill().await;
                let cut_until = agent.cut_until;
                *agent = Agent::start(scratch.path(), number, &ends);
                agent.cut_until = cut_until;
            }
            let Some(here) = &mut agent.here else {
                continue;
            };
            if agent.cut_until > Instant::now() {
                agent.answer = None;
                continue;
            }
            if let Some((_, from)) = agent.answer.take_if(|(due, _)| *due <= Instant::now()) {
                let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap();
                let ack = HeartbeatAck {
                    now_milliseconds: 0,
                    lease_from_milliseconds: milliseconds(from),
                    lease_milliseconds: milliseconds(LEASE),
                };
                agent.lease.renew(&ack, agent.session_began);
            }
            if agent.answer.is_none() {
                agent.answer = Some(control.beat(number, here, &mut random));
            }
        }
        control.plan(&agents);
        tokio::time::sleep(BEAT).await;
        let mut here = agents.iter().filter_map(|agent| agent.here.as_ref());
        let are_empty = here.all(|here| here.here.is_empty());
        if control.end.is_some() && are_empty {
            break;
        }
    }
    drop(agents);
    tokio::time::sleep(BEAT).await;
    (judge(&control, &ends, scratch.path()), control.moves)
}

fn judge(control: &Control, ends: &Ends, root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let spans = ends.spans.lock().unwrap_or_else(PoisonError::into_inner);
    for (index, (agent, began, ended)) in spans.iter().enumerate() {
        let both = spans
            .iter()
            .skip(index + 1)
            .any(|(other, from, to)| other != agent && from < ended && began < to);
        if both {
            wrong.push(format!("two agents write at once: {spans:?}"));
        }
    }
    match &control.end {
        Some(end) if end.status == ExecutionStatus::Success => {}
        end => wrong.push(format!("it did not end well: {end:?}")),
    }
    let options = &spec(0).options;
    let wanted = expected(&ends.source.snapshot(), options, &Scope::default(), true);
    wrong.extend(differences(&wanted, &ends.destination.snapshot()));
    for number in 0..AGENTS {
        let executions = root.join(number.to_string()).join(EXECUTIONS);
        let left = std::fs::read_dir(executions).unwrap().count();
        if left > 0 {
            wrong.push(format!("agent {number} keeps {left} executions"));
        }
    }
    wrong
}

#[test]
fn no_two_agents_write_at_once_and_the_destination_is_exact() {
    let (mut moved, mut moves) = (0, 0);
    for seed in 0..40 {
        let (wrong, count) = run_deterministically(simulate(seed));
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
        moved += u64::from(count > 0);
        moves += count;
    }
    assert!(moved > 10 && moves > moved, "{moved} moved, {moves} times");
}
