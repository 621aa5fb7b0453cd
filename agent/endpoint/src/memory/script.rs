//! Scripted faults and the log of calls, the same for source and destination.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datasync_model::RequestCounts;
use tokio::time::{Instant, sleep};

use super::Tree;
use crate::{EndpointError, ErrorKind};

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `Source::root`.
    Root,
    /// `Source::read_dir`.
    ReadDir,
    /// One entry of a page; only [`Action::Fail`] applies: its attributes cannot be had.
    Entry,
    /// `Source::lookup`; the target is the path of the name that is looked up.
    Lookup,
    /// `Source::attributes`.
    Attributes,
    /// `Source::extended`.
    Extended,
    /// `Source::read`.
    Read,
    /// `Source::read_link`.
    ReadLink,
    /// `Destination::list`; the target is the key after which it lists.
    List,
    /// `Destination::stat`.
    Stat,
    /// `Destination::put`.
    Put,
    /// `Destination::link`.
    Link,
    /// `Destination::create_upload`.
    CreateUpload,
    /// `Destination::upload_part`.
    UploadPart,
    /// `Destination::complete_upload`.
    CompleteUpload,
    /// `Destination::abort_upload`.
    AbortUpload,
    /// `Destination::open_uploads`.
    OpenUploads,
    /// `Destination::parts`.
    ListParts,
    /// `Destination::set_metadata`.
    SetMetadata,
    /// `Destination::copy`.
    Copy,
    /// The copy of the content, by an upload, of an object that is too large for one request.
    CopyPart,
    /// `Destination::read_back`.
    ReadBack,
    /// `Destination::delete` as a whole; the target is the key of the first object.
    DeleteBatch,
    /// One object of a `Destination::delete`.
    Delete,
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Self::Root => "ROOT",
            Self::ReadDir => "READDIR",
            Self::Entry | Self::Attributes => "GETATTR",
            Self::Extended => "LISTXATTRS",
            Self::Lookup => "LOOKUP",
            Self::Read => "READ",
            Self::ReadLink => "READLINK",
            Self::List => "LIST",
            Self::Stat => "HEAD",
            Self::Put => "PUT",
            Self::Link => "LINK",
            Self::CreateUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::CompleteUpload => "CompleteMultipartUpload",
            Self::AbortUpload => "AbortMultipartUpload",
            Self::OpenUploads => "ListMultipartUploads",
            Self::ListParts => "ListParts",
            Self::SetMetadata | Self::Copy => "CopyObject",
            Self::CopyPart => "UploadPartCopy",
            Self::ReadBack => "GET",
            Self::DeleteBatch => "DeleteObjects",
            Self::Delete => "DELETE",
        }
    }
}

type Change = Arc<dyn Fn(&mut Tree) + Send + Sync>;

/// What happens to a call.
#[derive(Clone)]
pub enum Action {
    /// It fails without effect.
    Fail(ErrorKind),
    /// It takes effect, and then fails with an unknown effect.
    LoseReply(ErrorKind),
    /// It waits before it is served.
    Delay(Duration),
    /// It never ends.
    Hang,
    /// It panics.
    Panic,
    /// One byte is flipped on the way: of what a READ gives, or of a body before it is checked.
    Flip,
    /// One byte of the stored content is flipped after the body was checked.
    FlipStored,
    /// One byte of a body is flipped in the sender's memory, after the checksum was taken that came
    /// with it or that its reader keeps.
    FlipSent,
    /// The connection breaks once half of the body has come; nothing is stored.
    Cut,
    /// It succeeds, but the receipt does not vouch for the content.
    Unvouched,
    /// The source's tree changes before the call is served.
    Change(Change),
}

impl Action {
    /// The tree changes before the call is served.
    pub fn change(change: impl Fn(&mut Tree) + Send + Sync + 'static) -> Self {
        Self::Change(Arc::new(change))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(kind) => write!(f, "Fail({kind:?})"),
            Self::LoseReply(kind) => write!(f, "LoseReply({kind:?})"),
            Self::Delay(time) => write!(f, "Delay({time:?})"),
            Self::Hang => f.write_str("Hang"),
            Self::Panic => f.write_str("Panic"),
            Self::Flip => f.write_str("Flip"),
            Self::FlipStored => f.write_str("FlipStored"),
            Self::FlipSent => f.write_str("FlipSent"),
            Self::Cut => f.write_str("Cut"),
            Self::Unvouched => f.write_str("Unvouched"),
            Self::Change(_) => f.write_str("Change"),
        }
    }
}

/// A fault: which calls, and what happens to them. Without further words it hits every call of
/// the operation, for ever.
#[derive(Clone)]
pub struct Fault {
    operation: Operation,
    action: Action,
    matches: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    skip: u64,
    times: u64,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} on {:?}, {} times",
            self.action, self.operation, self.times
        )
    }
}

impl Fault {
    /// This action on every call of this operation.
    #[must_use]
    pub fn new(operation: Operation, action: Action) -> Self {
        Self {
            operation,
            action,
            matches: Arc::new(|_| true),
            skip: 0,
            times: u64::MAX,
        }
    }

    /// Only for this target: a path as displayed (`/a/b`), or a key.
    #[must_use]
    pub fn at(self, target: &str) -> Self {
        let target = target.to_owned();
        self.when(move |found| found == target)
    }

    /// Only for targets that `matches` likes.
    #[must_use]
    pub fn when(self, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self {
            matches: Arc::new(matches),
            ..self
        }
    }

    /// Lets the first `calls` pass.
    #[must_use]
    pub fn after(self, calls: u64) -> Self {
        Self {
            skip: calls,
            ..self
        }
    }

    /// Hits at most `calls`.
    #[must_use]
    pub fn times(self, calls: u64) -> Self {
        Self {
            times: calls,
            ..self
        }
    }

    /// Whether this call is hit; counts it.
    fn is_due(&mut self, operation: Operation, target: &str) -> bool {
        if self.operation != operation || self.times == 0 || !(self.matches)(target) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub operation: Operation,
    /// To what: a path as displayed, or a key.
    pub target: String,
    /// When it began.
    pub at: Instant,
}

/// What is left to do after a call was admitted.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    pub(super) flip: bool,
    pub(super) flip_stored: bool,
    pub(super) flip_sent: bool,
    pub(super) cut: bool,
    pub(super) unvouched: bool,
    pub(super) changes: Vec<ChangeOnce>,
    lose: Option<EndpointError>,
}

/// A change that is due.
pub(super) struct ChangeOnce(pub(super) Change);

impl fmt::Debug for ChangeOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeOnce")
    }
}

impl Aftermath {
    /// What comes of a chunk of a body of `length` bytes, of which `taken` have come.
    pub(super) fn uncut<'a>(&self, chunk: &'a [u8], taken: usize, length: u64) -> &'a [u8] {
        let half = usize::try_from(length / 2).unwrap_or(usize::MAX);
        match chunk.get(..half.saturating_sub(taken)) {
            Some(part) if self.cut => part,
            _ => chunk,
        }
    }

    /// The reply, unless it is lost.
    pub(super) fn reply<T>(self, value: T) -> Result<T, EndpointError> {
        match self.lose {
            None => Ok(value),
            Some(error) => Err(error),
        }
    }
}

/// Faults to come and calls that were made.
#[derive(Debug, Default)]
pub struct Script {
    faults: Mutex<Vec<Fault>>,
    calls: Mutex<Vec<Call>>,
    hits: Mutex<Vec<(Operation, Action)>>,
}

impl Script {
    /// Adds a fault.
    pub fn add(&self, fault: Fault) {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    /// Forgets all faults.
    pub fn clear(&self) {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many calls of this operation were made.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// How many calls of this operation were made to this target.
    #[must_use]
    pub fn count_at(&self, operation: Operation, target: &str) -> usize {
        let calls = self.calls();
        calls
            .iter()
            .filter(|call| call.operation == operation && call.target == target)
            .count()
    }

    /// The calls so far by kind.
    pub(super) fn requests(&self) -> RequestCounts {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .iter()
            .map(|call| (call.operation.word(), 1))
            .collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn due(&self, operation: Operation, target: &str) -> Vec<Action> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let due = faults.iter_mut().filter_map(|fault| {
            fault
                .is_due(operation, target)
                .then(|| fault.action.clone())
        });
        let due: Vec<_> = due.collect();
        let hits = due.iter().map(|action| (operation, action.clone()));
        let mut all = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(hits);
        due
    }

    /// What the faults did so far, in this order.
    #[must_use]
    pub fn hits(&self) -> Vec<(Operation, Action)> {
        let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        hits.clone()
    }

    /// The error that an entry of a page has instead of its attributes.
    pub(super) fn entry_error(&self, target: &str) -> Option<EndpointError> {
        self.due(Operation::Entry, target)
            .into_iter()
            .find_map(|action| match action {
                Action::Fail(kind) => Some(error(Operation::Entry, target, kind)),
                _ => None,
            })
    }

    /// Logs a call and lets its faults happen.
    pub(super) async fn enter(
        &self,
        operation: Operation,
        target: &str,
    ) -> Result<Aftermath, EndpointError> {
        let call = Call {
            operation,
            target: target.to_owned(),
            at: Instant::now(),
        };
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
        let mut aftermath = Aftermath::default();
        for action in self.due(operation, target) {
            match action {
                Action::Fail(kind) => return Err(error(operation, target, kind)),
                Action::LoseReply(kind) => {
                    aftermath.lose = Some(error(operation, target, kind).with_unknown_effect());
                }
                Action::Delay(time) => sleep(time).await,
                Action::Hang => std::future::pending().await,
                Action::Panic => panic!("scripted panic: {operation:?} {target}"),
                Action::Flip => aftermath.flip = true,
                Action::FlipStored => aftermath.flip_stored = true,
                Action::FlipSent => aftermath.flip_sent = true,
                Action::Cut => aftermath.cut = true,
                Action::Unvouched => aftermath.unvouched = true,
                Action::Change(change) => aftermath.changes.push(ChangeOnce(change)),
            }
        }
        Ok(aftermath)
    }
}

pub(super) fn error(operation: Operation, target: &str, kind: ErrorKind) -> EndpointError {
    EndpointError::new(kind, operation.word(), target, format!("{kind:?}"))
}
