//! What was observed against what the model expects.

use std::collections::BTreeSet;

use datasync_endpoint::memory::Stored;
use datasync_endpoint::{Key, PosixMetadata};
use datasync_model::{Counters, ErrorCode, ExecutionReport, ExecutionStatus, VerifyMode};
use datasync_transfer::{ListedItem, Verdict};

use crate::{Bucket, Check, Ending, Expected, Fate, Outcome, Situation};

/// What became of an execution.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The destination at the end.
    pub bucket: &'a Bucket,
    /// The terminal report.
    pub report: &'a ExecutionReport,
    /// The list of items that were not done.
    pub listed: &'a [ListedItem],
}

/// What is not held against an execution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Its process was killed: what it wrote may count as found.
    pub was_killed: bool,
    /// Records of its journal are lost that were on disk: deletes may not be counted, and what the
    /// end check found may be on the list though the item was done again after it.
    pub lost_records: bool,
    /// It met faults that retries may not have outlived: any item may have failed, by name.
    pub may_fail: bool,
}

/// Counts that are compared: the least and the most.
#[derive(Debug, Default, Clone, Copy)]
struct Range(u64, u64);

impl Range {
    fn add(&mut self, least: u64, most: u64) {
        self.0 += least;
        self.1 += most;
    }
}

#[derive(Debug, Default)]
struct Tally {
    outcomes: [Range; 4],
    verified: Range,
    mismatched: Range,
    bytes: Range,
}

impl Tally {
    /// Counts an item that ended in one of these ways.
    fn add(&mut self, endings: &[&Ending]) {
        let range = |count: &dyn Fn(&Ending) -> u64| {
            let counts = endings.iter().map(|ending| count(ending));
            (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
        };
        for (outcome, total) in OUTCOMES.into_iter().zip(&mut self.outcomes) {
            let (least, most) = range(&|ending| u64::from(ending.outcome == outcome));
            total.add(least, most);
        }
        let (least, most) = range(&|ending| u64::from(ending.check == Check::Good));
        self.verified.add(least, most);
        let (least, most) = range(&|ending| u64::from(matches!(ending.check, Check::Differs(_))));
        self.mismatched.add(least, most);
        let (least, most) = range(&|ending| ending.bytes);
        self.bytes.add(least, most);
    }
}

const OUTCOMES: [Outcome; 4] = [
    Outcome::Unchanged,
    Outcome::Transferred,
    Outcome::Skipped,
    Outcome::Failed,
];

/// Everything that is not as it should be, a line for each.
#[must_use]
pub fn differences(
    situation: &Situation<'_>,
    expected: &Expected,
    observed: &Observed<'_>,
    leniency: Leniency,
) -> Vec<String> {
    let mut comparison = Comparison {
        situation,
        expected,
        observed,
        leniency,
        broke_off: broke_off(observed.report),
        lines: Vec::new(),
        named: BTreeSet::new(),
    };
    comparison.run();
    comparison.lines
}

/// Whether an execution ended before it had seen everything.
fn broke_off(report: &ExecutionReport) -> bool {
    let failure = report.result.failure.as_ref();
    failure.is_some_and(|failure| !failure.code.leaves_items_out())
}

/// What the model says too. Which side was damaged the engine tells only where it knows more than
/// the model does.
fn told(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::SourceInconsistent | ErrorCode::DestinationDamaged => {
            ErrorCode::ChecksumMismatch
        }
        code => code,
    }
}

struct Comparison<'a> {
    situation: &'a Situation<'a>,
    expected: &'a Expected,
    observed: &'a Observed<'a>,
    leniency: Leniency,
    broke_off: bool,
    lines: Vec<String>,
    /// Keys on the list that are accounted for.
    named: BTreeSet<String>,
}

impl Comparison<'_> {
    fn run(&mut self) {
        let expected = self.expected;
        let mut tally = Tally::default();
        for item in &expected.items {
            let mut possible = self.possible(&item.endings);
            if self.leniency.may_fail {
                possible.extend(self.possible(&item.anew));
            }
            if self.leniency.may_fail && self.is_unseen(&item.key) {
                possible.push(Ending::unseen());
            }
            let observed: Vec<_> = possible
                .iter()
                .filter(|ending| self.is_observed(&item.key, ending))
                .collect();
            if observed.is_empty() {
                self.lines.push(self.unexplained(&item.key, &possible));
            } else if !self.broke_off {
                tally.add(&observed);
            }
            self.named.insert(item.key.to_string());
        }
        self.deletes();
        self.others();
        if !self.broke_off {
            self.counters(&tally);
            self.code();
        } else if !self.leniency.may_fail {
            let failure = &self.observed.report.result.failure;
            self.lines.push(format!("broke off: {failure:?}"));
        }
    }

    /// The endings that are allowed under the circumstances.
    fn possible(&self, endings: &[Ending]) -> Vec<Ending> {
        let mut possible = endings.to_vec();
        for ending in endings {
            let is_write = ending.outcome == Outcome::Transferred;
            if self.leniency.was_killed && is_write {
                // Written before the kill, found after it.
                let outcome = Outcome::Unchanged;
                possible.push(Ending {
                    outcome,
                    bytes: 0,
                    ..ending.clone()
                });
                possible.push(Ending {
                    outcome: Outcome::Skipped,
                    bytes: 0,
                    check: Check::None,
                    code: Some(ErrorCode::NotSupported),
                    ..ending.clone()
                });
            }
            if self.leniency.may_fail || self.broke_off {
                let fates = [Fate::Untouched, ending.fate.clone()];
                possible.extend(fates.map(|fate| Ending {
                    fate,
                    ..ending.clone()
                }));
            }
        }
        possible
    }

    /// Whether a directory above a key is on the list: what is in it may not have been met.
    fn is_unseen(&self, key: &Key) -> bool {
        let directories = self
            .observed
            .listed
            .iter()
            .filter(|line| line.outcome == Verdict::Failed);
        let mut prefixes = directories.map(|line| line.key.trim_end_matches('/'));
        prefixes.any(|prefix| prefix.is_empty() || key.as_str().starts_with(&format!("{prefix}/")))
    }

    /// The gravest line of a key: a directory may be left out and unreadable besides.
    fn listed(&self, key: &Key) -> Option<&ListedItem> {
        let listed = self.observed.listed.iter();
        let mut lines: Vec<_> = listed.filter(|line| line.key == key.as_str()).collect();
        lines.sort_by_key(|line| line.outcome == Verdict::Skipped);
        lines.first().copied()
    }

    fn is_observed(&self, key: &Key, ending: &Ending) -> bool {
        let (before, after) = (
            self.situation.bucket.get(key),
            self.observed.bucket.get(key),
        );
        let line = self
            .listed(key)
            .map(|line| (line.outcome, told(line.failure.code)));
        let is_unlistable = self.expected.unlistable.iter().any(|(_, k)| k == key);
        let has_failed = matches!(line, Some((Verdict::Failed | Verdict::Mismatched, _)));
        let may_be_old =
            self.leniency.lost_records && matches!(line, Some((Verdict::Mismatched, _)));
        let line_fits = line == ending.line()
            || is_unlistable
            || may_be_old
            || self.broke_off
            || (self.leniency.may_fail && has_failed);
        let fate_fits = match &ending.fate {
            Fate::Untouched => before == after,
            Fate::Written {
                contents,
                metadata,
                class,
            } => after.is_some_and(|after| {
                contents.contains(&after.content)
                    && same_metadata(&after.metadata, metadata)
                    && after.storage_class == *class
                    && before.is_none_or(|before| before.etag != after.etag)
            }),
        };
        // A body may be damaged where only reading back tells; then the item has failed by name.
        line_fits && (fate_fits || (self.leniency.may_fail && has_failed))
    }

    fn unexplained(&self, key: &Key, possible: &[Ending]) -> String {
        let show = |stored: Option<&Stored>| {
            stored.map(|s| {
                (
                    s.content.len(),
                    s.metadata,
                    s.etag.clone(),
                    s.storage_class.clone(),
                )
            })
        };
        let before = show(self.situation.bucket.get(key));
        let after = show(self.observed.bucket.get(key));
        let short: Vec<_> = possible
            .iter()
            .map(|e| {
                (
                    e.outcome,
                    e.check,
                    e.code,
                    matches!(e.fate, Fate::Untouched),
                )
            })
            .collect();
        let line = self.listed(key);
        format!("{key:?}: before {before:?}, after {after:?}, listed {line:?}; possible {short:?}")
    }

    fn deletes(&mut self) {
        let expected = self.expected;
        for (key, can_go) in &expected.deletes {
            let (before, after) = (
                self.situation.bucket.get(key),
                self.observed.bucket.get(key),
            );
            let is_gone = after.is_none();
            let should_go = *can_go && !expected.withheld;
            let has_line = self.listed(key).is_some();
            let is_excused = self.broke_off || (self.leniency.may_fail && (has_line || should_go));
            if is_gone != should_go && (is_gone || !is_excused) {
                self.lines.push(format!(
                    "{key:?}: is gone: {is_gone}, should be: {should_go}"
                ));
            }
            if !is_gone && before != after {
                self.lines
                    .push(format!("{key:?} was to be deleted and was written"));
            }
            if !is_gone && !expected.withheld && !has_line && !is_excused {
                self.lines
                    .push(format!("{key:?} could not be deleted and is not named"));
            }
            self.named.insert(key.to_string());
        }
    }

    /// Objects and names that the execution has nothing to do with.
    fn others(&mut self) {
        let expected = self.expected;
        let keys: BTreeSet<&Key> = expected.items.iter().map(|item| &item.key).collect();
        let all: BTreeSet<&Key> = self
            .situation
            .bucket
            .keys()
            .chain(self.observed.bucket.keys())
            .collect();
        for key in all {
            let is_ours = keys.contains(key) || expected.deletes.contains_key(key);
            if !is_ours && self.situation.bucket.get(key) != self.observed.bucket.get(key) {
                self.lines.push(format!("{key:?} was touched"));
            }
        }
        for (path, key) in &expected.unlistable {
            let verdict = self.listed(key).map(|line| line.outcome);
            let is_excused = self.broke_off || (self.leniency.may_fail && self.is_unseen(key));
            if verdict != Some(Verdict::Failed) && !is_excused {
                self.lines.push(format!(
                    "{path} cannot be read and is listed as {verdict:?}"
                ));
            }
            self.named.insert(key.to_string());
        }
        for line in self.observed.listed {
            if !self.named.contains(&line.key) && !self.leniency.may_fail {
                self.lines.push(format!("{line:?} has no cause"));
            }
        }
    }

    fn counters(&mut self, tally: &Tally) {
        let found = self.observed.report.counters;
        let expected = self.expected;
        let unlistable = expected.unlistable.len() as u64;
        let (mut undeleted, mut deleted) = (0, 0);
        for key in expected.deletes.keys() {
            let is_gone = !self.observed.bucket.contains_key(key);
            deleted += u64::from(is_gone);
            undeleted += u64::from(
                !is_gone
                    && self
                        .listed(key)
                        .is_some_and(|l| l.outcome == Verdict::Failed),
            );
        }
        let extra = unlistable + undeleted;
        let all = expected.items.len() as u64 + extra;
        let [unchanged, transferred, skipped, failed] = tally.outcomes;
        let only_transferred =
            self.situation.options.verify_mode == VerifyMode::OnlyFilesTransferred;
        let verified = if only_transferred {
            transferred
        } else {
            tally.verified
        };
        let failed = Range(failed.0 + extra, failed.1 + extra);
        let exact = |count| Range(count, count);
        let counted = |count| {
            let is_certain = !self.leniency.lost_records && !self.leniency.may_fail;
            let least = if is_certain { count } else { 0 };
            Range(least, count)
        };
        let (to_delete, deleted) = (counted(expected.deletes.len() as u64), counted(deleted));
        self.count("to_delete", found.to_delete, to_delete);
        self.count("deleted", found.deleted, deleted);
        self.count("delete_failed", found.delete_failed, exact(undeleted));
        if self.leniency.may_fail {
            return self.sums(&found);
        }
        self.count("discovered", found.discovered, exact(all));
        self.count("unchanged", found.unchanged, unchanged);
        self.count("transferred", found.transferred, transferred);
        self.count("skipped", found.skipped, skipped);
        self.count("failed", found.failed, failed);
        self.count("verified", found.verified, verified);
        self.count("mismatched", found.mismatched, tally.mismatched);
        self.count("bytes_written", found.bytes_written, tally.bytes);
    }

    fn count(&mut self, name: &str, found: u64, Range(least, most): Range) {
        if !(least..=most).contains(&found) {
            self.lines
                .push(format!("{name}: {found}, should be {least} to {most}"));
        }
    }

    fn sums(&mut self, found: &Counters) {
        let failed = self
            .observed
            .listed
            .iter()
            .filter(|line| line.outcome == Verdict::Failed);
        let (named, failed) = (failed.count() as u64, found.failed);
        // What was listed before a crash may have been done after it.
        if failed < named && !self.leniency.was_killed {
            self.lines.push(format!(
                "{named} items are named as failed, {failed} are counted"
            ));
        }
    }

    /// Content comes first; else all that differ must differ in the same way to give their name.
    fn difference(&self) -> ErrorCode {
        let lines = self.observed.listed.iter();
        let lines = lines.filter(|line| line.outcome == Verdict::Mismatched);
        let kinds: BTreeSet<_> = lines.map(|line| told(line.failure.code).as_str()).collect();
        let of_content = ["ChecksumMismatch", "SourceSizeMismatch", "SourceChanged"];
        if of_content.iter().any(|kind| kinds.contains(kind)) {
            return ErrorCode::ChecksumMismatch;
        }
        for code in [
            ErrorCode::MetadataDiffers,
            ErrorCode::FileNotAtSource,
            ErrorCode::FileNotAtDestination,
        ] {
            if kinds == BTreeSet::from([code.as_str()]) {
                return code;
            }
        }
        ErrorCode::ItemsFailed
    }

    /// The report's own word fits its counts.
    fn code(&mut self) {
        let report = self.observed.report;
        let counters = report.counters;
        let expected = if counters.failed > 0 {
            Some(ErrorCode::ItemsFailed)
        } else if counters.mismatched > 0 {
            Some(self.difference())
        } else {
            self.expected.withheld.then_some(ErrorCode::DeletesWithheld)
        };
        let code = report.result.failure.as_ref().map(|failure| failure.code);
        let is_success = report.status == ExecutionStatus::Success;
        if code != expected || is_success != code.is_none() {
            let failure = &report.result.failure;
            self.lines
                .push(format!("ended with {failure:?}, should be {expected:?}"));
        }
    }
}

fn same_metadata(found: &PosixMetadata, wanted: &PosixMetadata) -> bool {
    let without_atime = |metadata: &PosixMetadata| PosixMetadata {
        atime: None,
        ..*metadata
    };
    without_atime(found) == without_atime(wanted) && found.atime.is_some() == wanted.atime.is_some()
}
