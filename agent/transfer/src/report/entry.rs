//! The entries of a report, as JSON with the member names of AWS DataSync.

use datasync_endpoint::{
    Attributes, Crc64, EntryKind, Key, ObjectChecksum, PosixMetadata, Timestamp,
};
use datasync_model::{
    Failure, ObjectVersionIds, Options, PhaseStatus, ReportKind, TaskMode, TaskReport,
};
use serde_json::{Map, Value, json};

use super::log::put_entry;
use crate::catalog::Entry;
use crate::outcome::{Outcome, Write};

/// What is known of an item beside its outcome.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ItemFacts {
    /// Of the source's entry, as it was met.
    pub(crate) attributes: Option<Attributes>,
    /// Whether the destination had an object of its key; `None` if nobody looked.
    pub(crate) existed: Option<bool>,
    /// What the destination has now.
    pub(crate) object: Option<Found>,
}

impl ItemFacts {
    /// An entry, and nothing about its object.
    pub(crate) fn of(attributes: Attributes) -> Self {
        Self {
            attributes: Some(attributes),
            ..Self::default()
        }
    }
}

/// An object that was compared with the source's entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) metadata: PosixMetadata,
    /// In bytes.
    pub(crate) size: u64,
    /// Of the content, on both sides.
    pub(crate) hash: Option<Hash>,
}

/// A checksum that both sides have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hash {
    Crc64(Crc64),
    /// As the store tells it.
    Other(ObjectChecksum),
}

impl Hash {
    /// `HashAlgorithm`, in S3's words.
    fn algorithm(self) -> &'static str {
        match self {
            Self::Crc64(_) => "CRC64NVME",
            Self::Other(checksum) => checksum.checksum.algorithm().as_str(),
        }
    }

    /// `SrcHash` and `DstHash`.
    fn text(self) -> String {
        match self {
            Self::Crc64(crc64) => format!("{:016x}", crc64.0),
            Self::Other(checksum) => checksum.to_string(),
        }
    }
}

impl Found {
    /// An object that was verified, by the store's `checksum` if by another than a CRC-64.
    pub(crate) fn of(entry: &Entry, checksum: Option<ObjectChecksum>) -> Self {
        let crc64 = entry.crc64.filter(|_| entry.is_proven);
        Self {
            metadata: entry.metadata,
            size: entry.size,
            hash: checksum.map(Hash::Other).or(crc64.map(Hash::Crc64)),
        }
    }
}

/// Makes the entries that a report asks for.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    pub(crate) report: TaskReport,
    pub(crate) mode: TaskMode,
    pub(crate) options: Options,
    /// Whether a receipt proves the CRC-64 of both sides.
    pub(crate) tells_crc64: bool,
    /// Wall clock in seconds since 1970.
    pub(crate) now_seconds: fn() -> i64,
}

impl Reporter {
    /// The frames of an item of the transfer. `is_verified`: its receipt was its verification.
    pub(crate) fn of_outcome(
        &self,
        key: &Key,
        facts: ItemFacts,
        outcome: &Outcome,
        is_verified: bool,
    ) -> Vec<u8> {
        let mut frames = Vec::new();
        match outcome {
            Outcome::Unchanged { .. } => {}
            Outcome::Skipped(failure) => {
                self.skipped(key, facts, failure, &mut frames);
            }
            Outcome::Failed(failed) => {
                let mut entry = self.entry(key, facts.attributes.as_ref());
                self.end(&mut entry, "Transfer", Err(&failed.failure));
                self.put(ReportKind::Transferred, false, entry, &mut frames);
            }
            Outcome::Transferred { write, .. } => {
                self.transferred(key, facts, write, &mut frames);
                if is_verified {
                    let found = Found {
                        metadata: PosixMetadata::kept(&write.attributes, &self.options),
                        size: write.size,
                        hash: self.proven(write),
                    };
                    let facts = ItemFacts {
                        object: Some(found),
                        ..ItemFacts::of(write.attributes)
                    };
                    frames.extend(self.of_verified(key, facts, Ok(())));
                }
            }
        }
        frames
    }

    /// What the receipt of a write proves that both sides have.
    fn proven(&self, write: &Write) -> Option<Hash> {
        let crc64 = write.crc64.filter(|_| self.tells_crc64);
        write.checksum.map(Hash::Other).or(crc64.map(Hash::Crc64))
    }

    fn transferred(&self, key: &Key, facts: ItemFacts, write: &Write, frames: &mut Vec<u8>) {
        let mut entry = self.entry(key, Some(&write.attributes));
        if let Some(existed) = facts.existed {
            let word = if existed { "True" } else { "False" };
            entry.insert("Overwrite".to_owned(), word.into());
        }
        let version = write.version_id.as_ref();
        let tells = self.report.version_ids == ObjectVersionIds::Include;
        if let Some(version) = version.filter(|_| tells) {
            entry.insert("DstS3VersionId".to_owned(), version.as_str().into());
        }
        let what = if write.is_content {
            "CONTENT_AND_METADATA"
        } else {
            "METADATA"
        };
        entry.insert("TransferType".to_owned(), what.into());
        let proven = self.proven(write).filter(|_| write.is_content);
        let read = write.crc64.filter(|_| write.is_content).map(Hash::Crc64);
        put_hashes(proven.or(read), proven, &mut entry);
        self.end(&mut entry, "Transfer", Ok(()));
        self.put(ReportKind::Transferred, true, entry, frames);
    }

    fn skipped(&self, key: &Key, facts: ItemFacts, reason: &Failure, frames: &mut Vec<u8>) {
        let mut entry = self.entry(key, facts.attributes.as_ref());
        entry.insert("SkipReason".to_owned(), reason.detail.as_str().into());
        self.end(&mut entry, "Skip", Ok(()));
        self.put(ReportKind::Skipped, true, entry, frames);
    }

    /// The frame of an item that was verified.
    pub(crate) fn of_verified(
        &self,
        key: &Key,
        facts: ItemFacts,
        result: Result<(), &Failure>,
    ) -> Vec<u8> {
        let mut entry = self.entry(key, facts.attributes.as_ref());
        if let Some(found) = facts.object {
            let object = of_object(key, &found.metadata, found.size);
            entry.insert(self.destination_member().to_owned(), object);
            // They are equal, or it would not be verified.
            let hash = found.hash.filter(|_| result.is_ok());
            put_hashes(hash, hash, &mut entry);
        }
        self.end(&mut entry, "Verify", result);
        let mut frames = Vec::new();
        self.put(ReportKind::Verified, result.is_ok(), entry, &mut frames);
        frames
    }

    /// The frame of an object that was deleted, or could not be.
    pub(crate) fn of_deleted(&self, key: &Key, result: Result<(), &Failure>) -> Vec<u8> {
        let mut entry = self.entry(key, None);
        let kind = if key.is_directory() {
            "Directory"
        } else {
            "Regular"
        };
        let metadata = json!({ "Type": kind });
        entry.insert(self.destination_member().to_owned(), metadata);
        self.end(&mut entry, "Delete", result);
        let mut frames = Vec::new();
        self.put(ReportKind::Deleted, result.is_ok(), entry, &mut frames);
        frames
    }

    fn destination_member(&self) -> &'static str {
        match self.mode {
            TaskMode::Basic => "DstMetadata",
            TaskMode::Enhanced => "DestinationMetadata",
        }
    }

    fn entry(&self, key: &Key, attributes: Option<&Attributes>) -> Map<String, Value> {
        let mut entry = Map::new();
        let path = relative_path(key);
        entry.insert("RelativePath".to_owned(), path.into());
        if let Some(attributes) = attributes {
            let member = match self.mode {
                TaskMode::Basic => "SrcMetadata",
                TaskMode::Enhanced => "SourceMetadata",
            };
            entry.insert(member.to_owned(), of_source(attributes));
        }
        entry
    }

    /// `TransferTimestamp`, `TransferStatus` and the like.
    fn end(&self, entry: &mut Map<String, Value>, what: &str, result: Result<(), &Failure>) {
        let now = Timestamp {
            seconds: (self.now_seconds)(),
            nanoseconds: 0,
        };
        entry.insert(format!("{what}Timestamp"), time(now));
        let word = match result {
            Ok(()) => PhaseStatus::Success.as_str(),
            Err(_) => "FAILED",
        };
        entry.insert(format!("{what}Status"), word.into());
        if let Err(failure) = result {
            entry.insert("ErrorCode".to_owned(), failure.code.as_str().into());
            entry.insert("ErrorDetail".to_owned(), failure.detail.as_str().into());
        }
    }

    fn put(
        &self,
        kind: ReportKind,
        is_success: bool,
        entry: Map<String, Value>,
        frames: &mut Vec<u8>,
    ) {
        if self.report.wants(kind, is_success) {
            put_entry(kind, Value::Object(entry).to_string().as_bytes(), frames);
        }
    }
}

/// What is known of the content on both sides.
fn put_hashes(source: Option<Hash>, destination: Option<Hash>, entry: &mut Map<String, Value>) {
    for (member, hash) in [("SrcHash", source), ("DstHash", destination)] {
        if let Some(hash) = hash {
            entry.insert(member.to_owned(), hash.text().into());
            entry.insert("HashAlgorithm".to_owned(), hash.algorithm().into());
        }
    }
}

/// The path as manifests write it, with a leading `/`; a key that is none as it is.
fn relative_path(key: &Key) -> String {
    let text = key.as_str();
    let directory = text.strip_suffix('/').filter(|_| key.path().is_ok());
    format!("/{}", directory.unwrap_or(text))
}

fn type_of(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "Regular",
        EntryKind::Directory => "Directory",
        EntryKind::Symlink => "Symlink",
        EntryKind::Fifo => "Fifo",
        EntryKind::Socket => "Socket",
        EntryKind::BlockDevice => "BlockDevice",
        EntryKind::CharDevice => "CharDevice",
    }
}

fn of_source(attributes: &Attributes) -> Value {
    json!({
        "Type": type_of(attributes.kind),
        "ContentSize": attributes.size,
        "Mtime": time(attributes.mtime),
        "Ctime": time(attributes.ctime),
        "Atime": time(attributes.atime),
        "Uid": attributes.uid,
        "Gid": attributes.gid,
        "Mode": format!("{:04o}", attributes.mode),
        "FileId": attributes.file_id,
    })
}

fn of_object(key: &Key, metadata: &PosixMetadata, size: u64) -> Value {
    let kind = metadata.permissions.and_then(EntryKind::from_mode);
    let by_key = if key.is_directory() {
        EntryKind::Directory
    } else {
        EntryKind::File
    };
    let mut object = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    put("Type", Some(type_of(kind.unwrap_or(by_key)).into()));
    put("ContentSize", Some(size.into()));
    put("Mtime", metadata.mtime.map(time));
    put("Uid", metadata.owner.map(Value::from));
    put("Gid", metadata.group.map(Value::from));
    let mode = metadata.permissions.map(|mode| mode & 0o7777);
    put("Mode", mode.map(|mode| format!("{mode:04o}").into()));
    Value::Object(object)
}

/// RFC 3339 in UTC; `null` for a time that has no date.
fn time(at: Timestamp) -> Value {
    let nanoseconds = i32::try_from(at.nanoseconds).unwrap_or_default();
    match jiff::Timestamp::new(at.seconds, nanoseconds) {
        Ok(at) => at.to_string().into(),
        Err(_) => Value::Null,
    }
}
