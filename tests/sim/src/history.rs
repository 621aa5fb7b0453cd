//! A scenario from its first execution to its last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use datasync_endpoint::memory::Action;
use datasync_endpoint::{Crc64, Destination, Key};
use datasync_model::{DeleteShareMax, ExecutionStatus, Scope};
use datasync_test_model::{Bucket, Leniency, Observed, Situation, Trouble, differences, expected};
use tokio::time::Instant;

use crate::faults::Counts;
use crate::invariants::{self, Seen};
use crate::process::{Ran, run_execution};
use crate::runtime;
use crate::scenario::{CatalogFate, Execution, Scenario};
use crate::trace::Trace;
use crate::world::{World, spec};

/// What became of a scenario.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that is not as it should be; empty is good.
    pub wrong: Vec<String>,
    /// Faults that happened.
    pub faults: Counts,
    /// Of everything that could be seen.
    pub trace: u64,
    /// The text of that, if it was asked for.
    pub lines: Vec<String>,
}

/// Runs a scenario; keeps the text of its trace if `traced`.
#[must_use]
pub fn simulate(scenario: &Scenario, traced: bool) -> Outcome {
    let scenario = scenario.clone();
    runtime::run(async move {
        let mut history = History::new(&scenario, traced);
        let quiet = Execution::quiet();
        for execution in scenario.executions.iter().chain([&quiet]) {
            Box::pin(history.execute(execution)).await;
            if !history.wrong.is_empty() {
                break;
            }
        }
        Outcome {
            wrong: history.wrong,
            faults: history.faults,
            trace: history.trace.number(),
            lines: history.trace.into_lines(),
        }
    })
}

struct History {
    world: World,
    number: u64,
    trace: Trace,
    faults: Counts,
    wrong: Vec<String>,
    /// Objects whose checksums the agent knows for certain, by their ETags.
    remembered: BTreeMap<Key, String>,
    /// Keys whose uploads nobody knows of any more.
    excused: Vec<Key>,
}

impl History {
    fn new(scenario: &Scenario, traced: bool) -> Self {
        let world = World::new(scenario);
        Self {
            world,
            number: 0,
            trace: Trace::new(traced),
            faults: Counts::default(),
            wrong: Vec::new(),
            remembered: BTreeMap::new(),
            excused: Vec::new(),
        }
    }

    async fn execute(&mut self, execution: &Execution) {
        self.number += 1;
        self.world.disarm();
        let is_reliable = self.world.change(execution, self.number);
        if !is_reliable {
            self.remembered.clear();
        }
        let same_root = self.world.has_same_root();
        let before = self.world.destination.snapshot();
        let tree = self.world.source.snapshot();
        let trouble = self.world.trouble(&execution.refusals, &before);
        self.world.arm(execution, &trouble);
        let directory = self.world.directory();
        let marks = Marks::of(&self.world);
        let ran = run_execution(&self.world, execution, &directory, &mut self.faults).await;
        let is_changing = self.count_faults(execution, &marks);
        self.note(&ran, &directory, &marks);
        let input = Input {
            trouble: &trouble,
            bucket: &before,
            same_root,
        };
        self.judge(execution, &input, &ran, is_changing);
        let seen = Seen {
            execution,
            ran: &ran,
            tree: &tree,
            trouble: &trouble,
            is_changing,
            transits_before: marks.transits,
        };
        let broken = invariants::broken(&self.world, &seen, &mut self.excused);
        let number = self.number;
        let tag = |line: String| format!("execution {number}: {line}");
        self.wrong.extend(broken.into_iter().map(tag));
        self.world.ledger().note(&self.world.source.snapshot());
    }

    /// Whether the source changed meanwhile.
    fn count_faults(&mut self, execution: &Execution, marks: &Marks) -> bool {
        let source = self.world.source.script().hits();
        let destination = self.world.destination.script().hits();
        let new = &source[marks.source_hits..];
        self.faults.add_hits(new);
        self.faults.add_hits(&destination[marks.destination_hits..]);
        for _ in &execution.foreign {
            self.faults.add("foreign change");
        }
        if execution.catalog != CatalogFate::Kept {
            self.faults.add("catalog lost or damaged");
        }
        new.iter()
            .any(|(_, action)| matches!(action, Action::Change(_)))
    }

    /// Puts everything that can be seen into the trace.
    fn note(&mut self, ran: &Ran, directory: &Path, marks: &Marks) {
        let world = &self.world;
        for script in [world.source.script(), world.destination.script()] {
            for call in script.calls() {
                self.trace.note(call.at, &(call.operation, &call.target));
            }
        }
        for transit in &world.destination.transits()[marks.transits..] {
            self.trace.note(transit.at, &transit.bytes);
        }
        for (at, report) in ran.processes.iter().flat_map(|process| &process.reports) {
            let counters = serde_json::to_string(&report.counters).unwrap_or_default();
            let result = &report.result;
            let times = (
                result.prepare_duration_ms,
                result.transfer_duration_ms,
                result.verify_duration_ms,
            );
            self.trace.note(*at, &(report.status, counters, times));
        }
        let now = Instant::now();
        let shown = directory.to_string_lossy().into_owned();
        for item in &ran.listed {
            self.trace
                .note(now, &format!("{item:?}").replace(&shown, ""));
        }
        for (key, stored) in world.destination.snapshot() {
            let content = Crc64::of(&stored.content);
            self.trace.note(
                now,
                &(
                    key,
                    content,
                    stored.metadata,
                    stored.etag,
                    stored.storage_class,
                ),
            );
        }
    }

    /// Compares with the model.
    fn judge(&mut self, execution: &Execution, input: &Input<'_>, ran: &Ran, is_changing: bool) {
        self.wrong.extend(ran.wrong.iter().cloned());
        let Some(report) = &ran.report else { return };
        let spec = spec(execution);
        let scope = Scope::new(spec.includes.clone(), spec.excludes.clone());
        let tree = self.world.source.snapshot();
        let after = self.world.destination.snapshot();
        let abilities = self.world.destination.abilities();
        let situation = Situation {
            tree: &tree,
            bucket: input.bucket,
            options: &spec.options,
            scope: &scope,
            has_root: self.world.has_root(),
            key_max: abilities.key_max,
            trouble: input.trouble,
            remembered: &self.remembered,
            same_root: input.same_root,
            delete_share_max_percent: DeleteShareMax::default().percent(),
        };
        let leniency = Leniency {
            was_killed: ran.was_killed,
            lost_records: ran.lost_records,
            may_fail: ran.was_cancelled
                || execution.faults.iter().any(|planned| planned.is_grave)
                || self.has_indistinct_uploads(ran),
        };
        if !is_changing {
            let wanted = expected(&situation);
            let observed = Observed {
                bucket: &after,
                report,
                listed: &ran.listed,
            };
            let lines = differences(&situation, &wanted, &observed, leniency);
            let number = self.number;
            self.wrong.extend(
                lines
                    .into_iter()
                    .map(|line| format!("execution {number}: {line}")),
            );
        }
        let is_exact = leniency == Leniency::default() && !is_changing;
        if is_exact && report.status == ExecutionStatus::Success && self.world.remembers() {
            self.remember(input.bucket, &after);
        } else {
            self.remembered.clear();
        }
    }

    /// Whether two uploads of a key cannot be told apart, because records of an id were lost that had
    /// been on disk: then the file fails, by name.
    fn has_indistinct_uploads(&self, ran: &Ran) -> bool {
        let open = self.world.destination.open_upload_keys();
        let keys: BTreeSet<&Key> = open.iter().collect();
        keys.len() < open.len() && (ran.lost_records || !self.excused.is_empty())
    }

    /// What the agent knows for certain after an execution: what it wrote with its content.
    fn remember(&mut self, before: &Bucket, after: &Bucket) {
        let kept = std::mem::take(&mut self.remembered);
        for (key, stored) in after {
            let is_kept = kept.get(key) == Some(&stored.etag);
            let was_written = before
                .get(key)
                .is_none_or(|old| old.content != stored.content);
            let is_foreign =
                !self
                    .world
                    .ledger()
                    .knows(key, stored.metadata.mtime, &stored.content);
            if is_kept || (was_written && !is_foreign) {
                self.remembered.insert(key.clone(), stored.etag.clone());
            }
        }
    }
}

/// What an execution met.
struct Input<'a> {
    trouble: &'a Trouble,
    bucket: &'a Bucket,
    same_root: bool,
}

/// Where the ends' own records stood at the beginning of an execution.
struct Marks {
    source_hits: usize,
    destination_hits: usize,
    transits: usize,
}

impl Marks {
    fn of(world: &World) -> Self {
        Self {
            source_hits: world.source.script().hits().len(),
            destination_hits: world.destination.script().hits().len(),
            transits: world.destination.transits().len(),
        }
    }
}
