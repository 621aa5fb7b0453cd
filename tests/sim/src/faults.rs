//! Faults at the seams: what is planned, and what of it happened.

use std::collections::BTreeMap;
use std::time::Duration;

use datasync_endpoint::ErrorKind;
use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation};
use tokio::time::Instant;

use crate::changes::Change;
use crate::random::Random;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// The call fails without effect.
    Fail(ErrorKind),
    /// It takes effect, and its reply is lost.
    LoseReply,
    /// It is slow, in milliseconds.
    Delay(u64),
    /// The body breaks off.
    Cut,
    /// The body arrives with another bit.
    Flip,
    /// The receipt does not vouch.
    Unvouched,
    /// The source changes before the call is served.
    Change(Change),
}

/// Which calls, and what happens to them.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The calls.
    pub(crate) operation: Operation,
    /// What happens.
    pub(crate) trouble: Trouble,
    /// So many pass before.
    pub(crate) skip: u64,
    /// So many are hit.
    pub(crate) times: u64,
    /// Only from and to these milliseconds after the beginning of the execution.
    pub(crate) window_ms: Option<(u64, u64)>,
    /// Whether retries may not outlive it.
    pub(crate) is_grave: bool,
}

pub(crate) const AT_SOURCE: [Operation; 6] = [
    Operation::Root,
    Operation::ReadDir,
    Operation::Lookup,
    Operation::Attributes,
    Operation::Read,
    Operation::ReadLink,
];
pub(crate) const AT_DESTINATION: [Operation; 13] = [
    Operation::List,
    Operation::Stat,
    Operation::Put,
    Operation::CreateUpload,
    Operation::UploadPart,
    Operation::CompleteUpload,
    Operation::AbortUpload,
    Operation::OpenUploads,
    Operation::ListParts,
    Operation::SetMetadata,
    Operation::DeleteBatch,
    Operation::Delete,
    Operation::ReadBack,
];
const BODIES: [Operation; 2] = [Operation::Put, Operation::UploadPart];
const TRANSIENT: [ErrorKind; 4] = [
    ErrorKind::Busy,
    ErrorKind::Timeout,
    ErrorKind::Unreachable,
    ErrorKind::ServerFault,
];
const GRAVE: [ErrorKind; 8] = [
    ErrorKind::PermissionDenied,
    ErrorKind::NotFound,
    ErrorKind::Protocol,
    ErrorKind::NoSpace,
    ErrorKind::Credentials,
    ErrorKind::ContainerNotFound,
    ErrorKind::Unreachable,
    ErrorKind::Invalid,
];

impl Planned {
    fn light(random: &mut Random, operation: Operation, trouble: Trouble) -> Self {
        Self {
            operation,
            trouble,
            skip: random.below(8),
            times: 1 + random.below(2),
            window_ms: None,
            is_grave: false,
        }
    }

    /// A fault that retries cure. `vouches`: the store checks bodies.
    pub(crate) fn curable(random: &mut Random, vouches: bool) -> Self {
        let any = if random.percent(40) {
            random.pick(&AT_SOURCE)
        } else {
            random.pick(&AT_DESTINATION)
        };
        let body = random.pick(&BODIES);
        let (operation, trouble) = match random.below(12) {
            0..=3 => (any, Trouble::Fail(random.pick(&TRANSIENT))),
            4..=5 => (random.pick(&AT_DESTINATION), Trouble::LoseReply),
            6..=7 => (any, Trouble::Delay(1 + random.below(40))),
            8 => (body, Trouble::Cut),
            9 if vouches => (body, Trouble::Flip),
            9 => (random.pick(&AT_SOURCE), Trouble::LoseReply),
            10 => {
                let stale = [Operation::Read, Operation::ReadLink, Operation::ReadDir];
                return Self {
                    times: 1,
                    ..Self::light(
                        random,
                        random.clone().pick(&stale),
                        Trouble::Fail(ErrorKind::Stale),
                    )
                };
            }
            _ => (body, Trouble::Unvouched),
        };
        Self::light(random, operation, trouble)
    }

    /// Whether what it hits begins anew, which is done a few times only.
    pub(crate) fn restarts(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::Fail(ErrorKind::Stale | ErrorKind::BadCookie)
        )
    }

    /// A directory that changes under the cursor: once, or the walk gives up.
    pub(crate) fn bad_cookie(random: &mut Random) -> Self {
        Self {
            times: 1,
            ..Self::light(
                random,
                Operation::ReadDir,
                Trouble::Fail(ErrorKind::BadCookie),
            )
        }
    }

    /// A fault that may outlive all retries.
    pub(crate) fn grave(random: &mut Random) -> Self {
        let operation = if random.percent(40) {
            random.pick(&AT_SOURCE)
        } else {
            random.pick(&AT_DESTINATION)
        };
        let kind = random.pick(&GRAVE);
        Self {
            times: 1 + random.below(12),
            is_grave: true,
            ..Self::light(random, operation, Trouble::Fail(kind))
        }
    }

    /// The store asks everybody to slow down for a while, or the NFS server says JUKEBOX.
    pub(crate) fn storm(random: &mut Random, long: bool) -> Vec<Self> {
        let from = random.below(50);
        let to = from + if long { 60_000 } else { 400 };
        let operations: &[Operation] = if random.percent(50) {
            &AT_SOURCE
        } else {
            &AT_DESTINATION
        };
        let planned = operations.iter().map(|operation| Self {
            operation: *operation,
            trouble: Trouble::Fail(ErrorKind::Busy),
            skip: 0,
            times: u64::MAX,
            window_ms: Some((from, to)),
            is_grave: long,
        });
        planned.collect()
    }

    /// The file system changes while it is read.
    pub(crate) fn change(random: &mut Random) -> Self {
        let operation = random.pick(&[Operation::ReadDir, Operation::Read, Operation::Lookup]);
        let change = Change::of(random, false);
        Self {
            times: 1,
            ..Self::light(random, operation, Trouble::Change(change))
        }
    }

    /// Hands the fault to the double that has its operation.
    pub(crate) fn arm(&self, source: &MemorySource, destination: &MemoryDestination) {
        let action = match &self.trouble {
            Trouble::Fail(kind) => Action::Fail(*kind),
            Trouble::LoseReply => Action::LoseReply(ErrorKind::Timeout),
            Trouble::Delay(ms) => Action::Delay(Duration::from_millis(*ms)),
            Trouble::Cut => Action::Cut,
            Trouble::Flip => Action::Flip,
            Trouble::Unvouched => Action::Unvouched,
            Trouble::Change(change) => {
                let change = change.clone();
                Action::change(move |tree| change.apply(tree))
            }
        };
        let mut fault = Fault::new(self.operation, action)
            .after(self.skip)
            .times(self.times);
        if let Some((from, to)) = self.window_ms {
            let begin = Instant::now();
            let window = Duration::from_millis(from)..Duration::from_millis(to);
            fault = fault.when(move |_| window.contains(&begin.elapsed()));
        }
        if AT_SOURCE.contains(&self.operation) {
            source.script().add(fault);
        } else {
            destination.script().add(fault);
        }
    }
}

/// How often each kind of fault happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

/// Every kind that a long enough series of seeds must have met.
pub const KINDS: [&str; 23] = [
    "NFS error",
    "NFS ESTALE",
    "NFS JUKEBOX",
    "NFS reply lost",
    "NFS delay",
    "READDIR error",
    "S3 error",
    "S3 503",
    "S3 reply lost",
    "S3 delay",
    "body cut",
    "body damaged",
    "receipt does not vouch",
    "source changed meanwhile",
    "foreign change",
    "permission denied",
    "killed",
    "power cut",
    "journal torn",
    "stopped",
    "cancelled",
    "rate changed",
    "catalog lost or damaged",
];

impl Counts {
    /// One more of a kind.
    pub(crate) fn add(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// What these faults of a double were.
    pub(crate) fn add_hits(&mut self, hits: &[(Operation, Action)]) {
        for (operation, action) in hits {
            let is_source = AT_SOURCE.contains(operation) || *operation == Operation::Entry;
            let side = |source, destination| if is_source { source } else { destination };
            let kind = match action {
                Action::Fail(ErrorKind::PermissionDenied) => "permission denied",
                Action::Fail(ErrorKind::Stale) => "NFS ESTALE",
                Action::Fail(ErrorKind::Busy) => side("NFS JUKEBOX", "S3 503"),
                Action::Fail(_) if *operation == Operation::ReadDir => "READDIR error",
                Action::Fail(_) => side("NFS error", "S3 error"),
                Action::LoseReply(_) => side("NFS reply lost", "S3 reply lost"),
                Action::Delay(_) => side("NFS delay", "S3 delay"),
                Action::Cut => "body cut",
                Action::Flip | Action::FlipSent | Action::FlipStored => "body damaged",
                Action::Unvouched => "receipt does not vouch",
                Action::Change(_) => "source changed meanwhile",
                Action::Hang | Action::Panic => continue,
            };
            self.add(kind);
        }
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// All kinds with their counts.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS
            .map(|kind| (kind, self.0.get(kind).copied().unwrap_or(0)))
            .into_iter()
    }
}
