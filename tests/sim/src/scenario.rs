//! What a seed stands for: a store, a tree and a history of executions. All values, so that a
//! failing one can be cut down and shown.

use datasync_endpoint::memory::Operation;
use datasync_endpoint::{Algorithm, Integrity};
use datasync_model::{
    Atime, Gid, Mtime, Options, OverwriteMode, Pair, PosixPermissions, PreserveDeletedFiles,
    PreserveDevices, StorageClass, TaskMode, TransferMode, Uid, VerifyMode,
};

use crate::changes::{Change, Foreign};
use crate::faults::{AT_DESTINATION, AT_SOURCE, Planned};
use crate::random::Random;

/// The two ends of the history.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// What a success of the store proves.
    pub(crate) integrity: Integrity,
    /// Objects per page of a listing, entries per page of a directory.
    pub(crate) page: usize,
    /// The most parts of an upload: 1 makes a large file one part, too large for memory.
    pub(crate) parts_max: u32,
    /// The longest key.
    pub(crate) key_max: usize,
    /// Whether the location has a prefix.
    pub(crate) has_root: bool,
    /// Whether answers tell the time.
    pub(crate) tells_dates: bool,
    /// The most bytes that a READ gives.
    pub(crate) reply_max: u32,
    /// Whether READs tell the attributes.
    pub(crate) attributes_after_read: bool,
    /// Whether the agent has a catalog.
    pub(crate) has_catalog: bool,
    /// Whether there are files of more than one part.
    pub(crate) large: bool,
    /// Whether memory holds no part of some files, which are read while they are sent.
    pub(crate) streams: bool,
    /// Whether somebody else has an upload open.
    pub(crate) foreign_upload: bool,
}

/// What becomes of the catalog before an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CatalogFate {
    /// It stays.
    Kept,
    /// It is lost.
    Lost,
    /// A bit of it is.
    Damaged(u64),
}

/// What ends a process before its execution is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// SIGKILL.
    Kill,
    /// What nobody waited for is lost in part, and the last record is torn.
    PowerCut(u64),
    /// The journal ends anywhere, and what follows is lost.
    Prefix(u64),
    /// SIGTERM.
    Stop,
    /// The user cancels; this one ends the execution.
    Cancel,
}

/// One thing that refuses, from the beginning to the end of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A directory.
    Unlistable(u64),
    /// An entry's attributes.
    Unknown(u64),
    /// A file.
    Unreadable(u64),
    /// An object.
    Unwritable(u64),
    /// An object that is to go.
    Undeletable(u64),
}

/// One execution, and what goes before it.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    /// At the source.
    pub(crate) changes: Vec<Change>,
    /// In the bucket.
    pub(crate) foreign: Vec<Foreign>,
    /// Before it begins.
    pub(crate) catalog: CatalogFate,
    /// Of the task.
    pub(crate) options: Options,
    /// Include filter.
    pub(crate) includes: &'static str,
    /// Exclude filter.
    pub(crate) excludes: &'static str,
    /// What refuses.
    pub(crate) refusals: Vec<Refusal>,
    /// What goes wrong.
    pub(crate) faults: Vec<Planned>,
    /// What every call of an operation takes, in milliseconds.
    pub(crate) latencies: Vec<(Operation, u64)>,
    /// When processes end, in milliseconds after their beginning.
    pub(crate) interruptions: Vec<(u64, Interruption)>,
    /// The limit in bytes per second.
    pub(crate) rate: Option<u64>,
    /// Changes of it, in milliseconds after the beginning.
    pub(crate) rates: Vec<(u64, Option<u64>)>,
}

/// A history.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it came from; also seeds the engine's own numbers.
    pub(crate) seed: u64,
    /// The two ends.
    pub(crate) ends: Ends,
    /// The executions, in order. One without faults follows in any case.
    pub(crate) executions: Vec<Execution>,
}

fn some<T>(random: &mut Random, most: u64, mut of: impl FnMut(&mut Random) -> T) -> Vec<T> {
    let count = random.below(most + 1);
    (0..count).map(|_| of(random)).collect()
}

impl Scenario {
    /// The history of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ends = Ends::of(&mut random);
        let count = 2 + random.below(3);
        let mut executions = Vec::new();
        for index in 0..count {
            executions.push(Execution::of(&mut random, &ends, index == 0));
        }
        Self {
            seed,
            ends,
            executions,
        }
    }
}

impl Scenario {
    /// A line for each thing that it holds.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut lines = vec![format!("seed {}: {:?}", self.seed, self.ends)];
        for (number, execution) in (1..).zip(&self.executions) {
            lines.push(format!("execution {number}: {}", execution.shown()));
        }
        lines.join("\n")
    }
}

impl Ends {
    fn of(random: &mut Random) -> Self {
        Self {
            integrity: random.pick(&[
                Integrity::Crc64,
                Integrity::Crc64,
                Integrity::Checksum(Algorithm::Sha256),
                Integrity::Md5,
                Integrity::ReadBack,
            ]),
            page: random.pick(&[1, 2, 3, 5, 100]),
            parts_max: random.pick(&[1, 10_000]),
            key_max: random.pick(&[60, 1024, 1024]),
            has_root: random.percent(80),
            tells_dates: random.percent(85),
            reply_max: random.pick(&[33, u32::MAX, u32::MAX]),
            attributes_after_read: random.percent(70),
            has_catalog: random.percent(85),
            large: random.percent(6),
            streams: random.percent(30),
            foreign_upload: random.percent(20),
        }
    }
}

/// The defaults of a task from NFS to S3.
fn defaults() -> Options {
    let pair = Pair {
        object_to_object: false,
        storage_class: Some(StorageClass::Standard),
    };
    Options::defaults(TaskMode::Basic, pair)
}

fn options(random: &mut Random) -> Options {
    let mut options = defaults();
    options.verify_mode = random.pick(VerifyMode::ALL);
    if random.percent(15) {
        options.transfer_mode = TransferMode::All;
    } else if random.percent(60) {
        options.preserve_deleted_files = PreserveDeletedFiles::Remove;
    }
    if random.percent(20) {
        options.overwrite_mode = OverwriteMode::Never;
    }
    if random.percent(25) {
        (options.uid, options.gid) = (Uid::None, Gid::None);
    }
    if random.percent(25) {
        options.posix_permissions = PosixPermissions::None;
    }
    if random.percent(25) {
        (options.atime, options.mtime) = (Atime::None, Mtime::None);
    }
    if random.percent(50) {
        options.preserve_devices = PreserveDevices::Preserve;
    }
    options
}

impl Execution {
    fn shown(&self) -> String {
        let usual = serde_json::to_value(defaults()).unwrap_or_default();
        let options = serde_json::to_value(&self.options).unwrap_or_default();
        let unusual: Vec<_> = options
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| usual[name.as_str()] != **value)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut text = format!(
            "{} includes {:?} excludes {:?} catalog {:?} rate {:?} {:?}",
            unusual.join(" "),
            self.includes,
            self.excludes,
            self.catalog,
            self.rate,
            self.rates,
        );
        for list in [
            shown("change", &self.changes),
            shown("foreign", &self.foreign),
            shown("refusal", &self.refusals),
            shown("fault", &self.faults),
            shown("latency", &self.latencies),
            shown("interruption", &self.interruptions),
        ] {
            text.push_str(&list);
        }
        text
    }

    fn of(random: &mut Random, ends: &Ends, is_first: bool) -> Self {
        let (least, most) = if is_first { (3, 12) } else { (0, 7) };
        let mut changes = some(random, most, |random| Change::of(random, ends.large));
        changes.extend((0..least).map(|_| Change::of(random, ends.large)));
        if random.percent(4) {
            changes.push(Change::ReplaceRoot);
        }
        let vouches = ends.integrity != Integrity::ReadBack;
        let mut faults = some(random, 4, |random| Planned::curable(random, vouches));
        if random.percent(10) {
            faults.push(Planned::bad_cookie(random));
        }
        if random.percent(12) {
            faults.extend(Planned::storm(random, false));
        }
        if random.percent(6) {
            faults.extend(Planned::storm(random, true));
        }
        if random.percent(15) {
            faults.push(Planned::grave(random));
        }
        if random.percent(10) {
            faults.push(Planned::change(random));
        }
        limit_restarts(&mut faults);
        let is_limited = random.percent(20);
        let rate = is_limited.then(|| RATES[usize::from(random.percent(50))]);
        Self {
            changes,
            foreign: if is_first {
                Vec::new()
            } else {
                some(random, 2, Foreign::of)
            },
            catalog: match random.below(10) {
                0 => CatalogFate::Lost,
                1 => CatalogFate::Damaged(random.number()),
                _ => CatalogFate::Kept,
            },
            options: options(random),
            includes: random.pick(&["", "", "", "", "/a|/keep", "/a/b|/b"]),
            excludes: random.pick(&["", "", "", "/b|*.c", "*/a"]),
            refusals: if random.percent(35) {
                some(random, 2, Refusal::of)
            } else {
                Vec::new()
            },
            faults,
            latencies: some(random, 4, latency),
            interruptions: if random.percent(45) {
                some(random, 3, interruption)
            } else {
                Vec::new()
            },
            rate,
            rates: if is_limited {
                some(random, 2, rate_change)
            } else {
                Vec::new()
            },
        }
    }

    /// One that has nothing to complain of, and puts everything right.
    #[must_use]
    pub(crate) fn quiet() -> Self {
        let mut options = defaults();
        options.verify_mode = VerifyMode::PointInTimeConsistent;
        options.transfer_mode = TransferMode::Changed;
        Self {
            changes: Vec::new(),
            foreign: Vec::new(),
            catalog: CatalogFate::Kept,
            options,
            includes: "",
            excludes: "",
            refusals: Vec::new(),
            faults: Vec::new(),
            latencies: Vec::new(),
            interruptions: Vec::new(),
            rate: None,
            rates: Vec::new(),
        }
    }
}

/// An item is tried three times in all, a directory read three times.
fn limit_restarts(faults: &mut Vec<Planned>) {
    let mut left = 2;
    faults.retain(|planned| {
        let restarts = planned.restarts();
        left -= i32::from(restarts);
        !restarts || left >= 0
    });
}

fn shown(word: &str, list: &[impl std::fmt::Debug]) -> String {
    let lines = list.iter().map(|thing| format!("\n    {word} {thing:?}"));
    lines.collect()
}

const RATES: [u64; 2] = [20_000, 300_000];

fn latency(random: &mut Random) -> (Operation, u64) {
    let operation = if random.percent(40) {
        random.pick(&AT_SOURCE)
    } else {
        random.pick(&AT_DESTINATION)
    };
    (operation, 1 + random.below(30))
}

fn interruption(random: &mut Random) -> (u64, Interruption) {
    let n = random.number();
    let interruption = match random.below(8) {
        0..=2 => Interruption::Kill,
        3..=4 => Interruption::PowerCut(n),
        5 => Interruption::Prefix(n),
        6 => Interruption::Stop,
        _ => Interruption::Cancel,
    };
    (random.below(250), interruption)
}

fn rate_change(random: &mut Random) -> (u64, Option<u64>) {
    let rate = random.pick(&[None, Some(RATES[0]), Some(RATES[1])]);
    (random.below(400), rate)
}

impl Refusal {
    fn of(random: &mut Random) -> Self {
        let n = random.number();
        match random.below(5) {
            0 => Self::Unlistable(n),
            1 => Self::Unknown(n),
            2 => Self::Unreadable(n),
            3 => Self::Unwritable(n),
            _ => Self::Undeletable(n),
        }
    }
}
