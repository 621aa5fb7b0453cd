//! The invariants of the architecture (§9) as code, as far as one agent's engine is concerned.
//!
//! I2 is what the model compares after a crash; I11 concerns secrets, which no double has; I12 is
//! checked where agent and control are in one process.

use std::collections::{BTreeMap, BTreeSet};

use datasync_endpoint::memory::{Call, Operation, Transit, Tree};
use datasync_endpoint::{EntryKind, Key};
use datasync_model::{ExecutionReport, ExecutionStatus, Scope};
use datasync_test_model::{Trouble, path_of};
use tokio::time::Instant;

use crate::process::{Process, Ran};
use crate::scenario::Execution;
use crate::world::{World, spec};

/// What an execution was seen to do.
pub(crate) struct Seen<'a> {
    pub(crate) execution: &'a Execution,
    pub(crate) ran: &'a Ran,
    /// At the beginning.
    pub(crate) tree: &'a Tree,
    pub(crate) trouble: &'a Trouble,
    /// Whether the source changed meanwhile.
    pub(crate) is_changing: bool,
    /// Bodies that came in before.
    pub(crate) transits_before: usize,
}

/// The invariants that do not hold, a line for each. `excused`: keys whose uploads nobody can know of,
/// because records were lost that had been on disk.
pub(crate) fn broken(world: &World, seen: &Seen<'_>, excused: &mut Vec<Key>) -> Vec<String> {
    let mut broken = Vec::new();
    contents(world, &mut broken);
    memory(world, &mut broken);
    rate(world, seen, &mut broken);
    scope(world, seen, &mut broken);
    deletes(world, seen, &mut broken);
    for process in &seen.ran.processes {
        reports(process, &mut broken);
    }
    uploads(world, seen, excused, &mut broken);
    broken
}

/// I1: an object that says when its content was last changed has a content that the source had then.
fn contents(world: &World, broken: &mut Vec<String>) {
    let ledger = world.ledger();
    for (key, stored) in world.destination.snapshot() {
        if !ledger.is_foreign(&key, &stored.content)
            && !ledger.knows(&key, stored.metadata.mtime, &stored.content)
        {
            broken.push(format!("I1: {key:?} has a content that its file never had"));
        }
    }
}

/// I3, as the store sees it: what is under way fits the budget.
fn memory(world: &World, broken: &mut Vec<String>) {
    let held = world.destination.held_max();
    if held > world.settings.memory_target_bytes / 2 {
        broken.push(format!("I3: {held} bytes of bodies were held at once"));
    }
}

/// I4: no window has more bytes than its limits allow and one slice.
fn rate(world: &World, seen: &Seen<'_>, broken: &mut Vec<String>) {
    let all = world.destination.transits();
    let transits = &all[seen.transits_before..];
    for (index, process) in seen.ran.processes.iter().enumerate() {
        let end = seen.ran.processes.get(index + 1).map(|next| next.began);
        let own: Vec<Transit> = transits
            .iter()
            .filter(|transit| transit.at >= process.began && end.is_none_or(|end| transit.at < end))
            .copied()
            .collect();
        if let Some(line) = too_fast(process, &own) {
            broken.push(line);
        }
    }
}

fn too_fast(process: &Process, transits: &[Transit]) -> Option<String> {
    // A window begins just before a body's slice and ends with one, under one limit: what is allowed
    // in it is what the limit lets through meanwhile, and a full bucket.
    let mut under = None;
    let mut lowest = f64::MAX;
    let mut sent: f64 = 0.0;
    for transit in transits {
        let (allowed, limit) = allowed(process, transit.at);
        if limit != under {
            under = limit;
            lowest = f64::MAX;
        }
        lowest = lowest.min(sent - allowed);
        sent += transit.bytes as f64;
        let Some(rate) = limit else { continue };
        let slice = (rate as f64 / 80.0).max(1024.0);
        let above = sent - allowed - lowest;
        if above > 2.0 * slice + 64.0 {
            return Some(format!(
                "I4: {above} bytes above the limit of {rate} bytes a second"
            ));
        }
    }
    None
}

/// Bytes that the limits of a process let through up to `at`, and the limit then.
fn allowed(process: &Process, at: Instant) -> (f64, Option<u64>) {
    let mut total = 0.0;
    let mut current = None;
    for (index, (from, limit)) in process.limits.iter().enumerate() {
        if *from > at {
            break;
        }
        let until = process
            .limits
            .get(index + 1)
            .map_or(at, |(next, _)| (*next).min(at));
        total += limit.unwrap_or(0) as f64 * until.duration_since(*from).as_secs_f64();
        current = *limit;
    }
    (total, current)
}

/// Paths by the names under which the source's calls are logged.
fn shown(tree: &Tree) -> BTreeMap<String, (Vec<u8>, u32)> {
    let entries = tree.entries().into_iter();
    entries
        .map(|(path, inode)| {
            (
                path.to_string(),
                (path.to_absolute(), inode.attributes.nlink),
            )
        })
        .collect()
}

fn scope_of(execution: &Execution) -> Scope {
    let spec = spec(execution);
    Scope::new(spec.includes, spec.excludes)
}

/// I5: what is excluded is not opened, and its object is not deleted.
fn scope(world: &World, seen: &Seen<'_>, broken: &mut Vec<String>) {
    let scope = scope_of(seen.execution);
    let paths = shown(seen.tree);
    for Call {
        operation, target, ..
    } in world.source.script().calls()
    {
        let Some((path, links)) = paths.get(&target).filter(|_| !seen.is_changing) else {
            continue;
        };
        let is_opened = match operation {
            // Another name of the same file may be inside.
            Operation::Read | Operation::ReadLink => *links == 1 && !scope.contains(path),
            Operation::ReadDir => !scope.descends(path),
            _ => false,
        };
        if is_opened {
            broken.push(format!("I5: {operation:?} of {target}, which is excluded"));
        }
    }
    for Call {
        operation, target, ..
    } in world.destination.script().calls()
    {
        let path = path_of(&Key::from_listing(target.clone()));
        let is_outside = path.is_none_or(|path| !scope.contains(&path));
        if operation == Operation::Delete && is_outside {
            broken.push(format!("I5: {target:?} was deleted, which is excluded"));
        }
    }
}

/// I6: what is deleted is gone from a source that could be read, and a LOOKUP said so.
fn deletes(world: &World, seen: &Seen<'_>, broken: &mut Vec<String>) {
    let lookups: BTreeSet<String> = world
        .source
        .script()
        .calls()
        .into_iter()
        .filter(|call| call.operation == Operation::Lookup)
        .map(|call| call.target)
        .collect();
    let mut written = BTreeSet::new();
    for Call {
        operation, target, ..
    } in world.destination.script().calls()
    {
        if matches!(operation, Operation::Put | Operation::CompleteUpload) {
            written.insert(target.clone());
        }
        let key = Key::from_listing(target.clone());
        // What was just written and is not proven is deleted too.
        let is_candidate = operation == Operation::Delete && !written.contains(&target);
        let Some(path) = path_of(&key).filter(|_| is_candidate) else {
            continue;
        };
        let names: Vec<&[u8]> = path
            .split(|b| *b == b'/')
            .filter(|n| !n.is_empty())
            .collect();
        let mut above = datasync_endpoint::EntryPath::ROOT;
        let mut was_looked_up = false;
        let mut is_hidden = false;
        for name in names {
            let found = seen.tree.get(above.to_absolute());
            let is_directory = found.is_some_and(|i| i.attributes.kind == EntryKind::Directory);
            is_hidden |= is_directory && seen.trouble.unlistable.contains(&above.to_absolute());
            above = above.child(name);
            was_looked_up |= lookups.contains(&above.to_string());
        }
        let found = seen.tree.get(&path);
        let is_there = found.is_some_and(|inode| {
            (inode.attributes.kind == EntryKind::Directory) == key.is_directory()
        });
        if !was_looked_up || (!seen.is_changing && (is_hidden || is_there)) {
            broken.push(format!(
                "I6: {target:?} was deleted; looked up: {was_looked_up}, at the source: {is_there}, unread: {is_hidden}"
            ));
        }
    }
}

fn rank(status: ExecutionStatus) -> u8 {
    match status {
        ExecutionStatus::Queued => 0,
        ExecutionStatus::Launching => 1,
        ExecutionStatus::Preparing => 2,
        ExecutionStatus::Transferring => 3,
        ExecutionStatus::Verifying => 4,
        ExecutionStatus::Cancelling => 5,
        ExecutionStatus::Success | ExecutionStatus::Error => 6,
    }
}

/// I7 and I8: states only go forward, the last one is entered once, and the counts of each report
/// add up.
fn reports(process: &Process, broken: &mut Vec<String>) {
    let mut before = 0;
    for (at, (_, report)) in process.reports.iter().enumerate() {
        let rank = rank(report.status);
        let is_last = at + 1 == process.reports.len();
        if rank < before || (report.status.is_terminal() && !is_last) {
            broken.push(format!(
                "I7: {:?} after another state of rank {before}",
                report.status
            ));
        }
        before = rank;
        if let Some(line) = uncounted(report) {
            broken.push(line);
        }
    }
}

fn uncounted(report: &ExecutionReport) -> Option<String> {
    let counters = report.counters;
    let ended = counters.unchanged + counters.transferred + counters.skipped + counters.failed;
    let adds_up = if report.status.is_terminal() {
        counters.discovered == ended
    } else {
        counters.discovered >= ended
    };
    (!adds_up).then(|| format!("I8: {counters:?}"))
}

/// I10: no upload of ours is open at the end, unless it is named; uploads of others stay.
fn uploads(world: &World, seen: &Seen<'_>, excused: &mut Vec<Key>, broken: &mut Vec<String>) {
    let mut open = world.destination.open_upload_keys();
    for foreign in &world.foreign_uploads {
        match open.iter().position(|key| key == foreign) {
            Some(at) => drop(open.remove(at)),
            None => broken.push(format!(
                "I10: somebody else's upload of {foreign:?} is gone"
            )),
        }
    }
    let Some(report) = &seen.ran.report else {
        return;
    };
    if seen.ran.lost_records {
        excused.clone_from(&open);
    }
    let failure = report.result.failure.as_ref();
    for key in open.iter().filter(|key| !excused.contains(key)) {
        let is_named = failure.is_some_and(|failure| failure.detail.contains(key.as_str()));
        if !is_named {
            broken.push(format!("I10: an upload of {key:?} stays open"));
        }
    }
}
