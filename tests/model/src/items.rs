//! How each entry of the source may end.

use bytes::Bytes;
use datasync_endpoint::memory::{Inode, Stored};
use datasync_endpoint::{EntryKind, Key, PosixMetadata};
use datasync_model::{
    Atime, ErrorCode, Gid, Mtime, OverwriteMode, PosixPermissions, PreserveDevices, TransferMode,
    Uid, VerifyMode,
};

use crate::names::key_of;
use crate::{Check, Ending, Fate, Item, Outcome, Situation};

/// The entries that an execution meets, and the directories that it cannot read.
pub(crate) fn items(situation: &Situation<'_>) -> (Vec<Item>, Vec<(String, Key)>) {
    let (mut items, mut unlistable) = (Vec::new(), Vec::new());
    for (path, inode) in situation.tree.entries() {
        let absolute = path.to_absolute();
        if !is_met(situation, &absolute) {
            continue;
        }
        let is_root = absolute == b"/";
        let is_directory = inode.attributes.kind == EntryKind::Directory;
        let key = key_of(&absolute, is_directory);
        let leads_on = is_directory
            && key.as_str().len() <= situation.key_max
            && situation.scope.descends(&absolute);
        let is_unknown = situation.trouble.unknown.contains(&absolute);
        if leads_on && !is_unknown && situation.trouble.unlistable.contains(&absolute) {
            unlistable.push((path.to_string(), key.clone()));
        }
        let in_scope = situation.scope.contains(&absolute);
        let wanted = if is_unknown {
            in_scope || situation.scope.descends(&absolute)
        } else {
            in_scope && (!is_root || situation.has_root)
        };
        if wanted {
            let mut anew = Vec::new();
            let (key, endings) = if is_unknown {
                (
                    key_of(&absolute, false),
                    vec![failed(ErrorCode::SourcePermissionDenied)],
                )
            } else {
                let mut endings = endings(situation, &absolute, inode, &key);
                if unlistable
                    .last()
                    .is_some_and(|(_, unlistable)| *unlistable == key)
                {
                    // What has failed is not looked at again.
                    endings
                        .iter_mut()
                        .for_each(|ending| ending.check = Check::None);
                }
                if endings
                    .iter()
                    .any(|ending| ending.outcome == Outcome::Unchanged)
                {
                    anew = written_anew(situation, &absolute, inode, &key);
                }
                (key, endings)
            };
            items.push(Item {
                path: path.to_string(),
                key,
                endings,
                anew,
            });
        }
    }
    items.sort_by(|a, b| a.key.cmp(&b.key));
    (items, unlistable)
}

/// Whether every directory above a path can be read.
fn is_met(situation: &Situation<'_>, path: &[u8]) -> bool {
    let trouble = situation.trouble;
    let mut above = path;
    while let Some(end) = above.iter().rposition(|byte| *byte == b'/') {
        above = if end == 0 && above.len() > 1 {
            b"/"
        } else {
            &above[..end]
        };
        if above.is_empty() {
            break;
        }
        let key_length = key_of(above, true).as_str().len();
        if trouble.unlistable.contains(above)
            || trouble.unknown.contains(above)
            || key_length > situation.key_max
        {
            return false;
        }
        if above == b"/" {
            break;
        }
    }
    true
}

fn failed(code: ErrorCode) -> Ending {
    left(Outcome::Failed, Check::None, Some(code))
}

fn left(outcome: Outcome, check: Check, code: Option<ErrorCode>) -> Ending {
    Ending {
        outcome,
        fate: Fate::Untouched,
        bytes: 0,
        check,
        code,
    }
}

fn endings(situation: &Situation<'_>, path: &[u8], inode: &Inode, key: &Key) -> Vec<Ending> {
    if key.as_str().len() > situation.key_max {
        return vec![failed(ErrorCode::KeyNotAllowed)];
    }
    let options = situation.options;
    let Some(content) = content(inode, options.preserve_devices) else {
        return vec![left(
            Outcome::Skipped,
            Check::None,
            Some(ErrorCode::NotSupported),
        )];
    };
    let copy = Copying::of(situation, path, inode, (key, content));
    let Some(stored) = situation.bucket.get(key) else {
        return copy.anew("STANDARD");
    };
    if options.overwrite_mode == OverwriteMode::Never {
        return vec![left(
            Outcome::Skipped,
            Check::None,
            Some(ErrorCode::NotSupported),
        )];
    }
    if options.transfer_mode == TransferMode::All {
        return copy.anew("STANDARD");
    }
    copy.changed(inode, stored)
}

/// The object of an entry that is there is written with the source's content.
fn written_anew(situation: &Situation<'_>, path: &[u8], inode: &Inode, key: &Key) -> Vec<Ending> {
    let stored = situation.bucket.get(key);
    let content = content(inode, situation.options.preserve_devices);
    match (stored, content) {
        (Some(stored), Some(content)) => {
            Copying::of(situation, path, inode, (key, content)).anew(&stored.storage_class)
        }
        _ => Vec::new(),
    }
}

fn content(inode: &Inode, devices: PreserveDevices) -> Option<Bytes> {
    match inode.attributes.kind {
        EntryKind::File | EntryKind::Symlink => Some(inode.content.clone()),
        EntryKind::Directory => Some(Bytes::new()),
        EntryKind::Fifo | EntryKind::Socket => None,
        EntryKind::BlockDevice | EntryKind::CharDevice => {
            (devices == PreserveDevices::Preserve).then(Bytes::new)
        }
    }
}

/// `S_IFMT` by `stat(2)`.
fn type_bits(kind: EntryKind) -> u32 {
    let digit = match kind {
        EntryKind::Fifo => 0o1,
        EntryKind::CharDevice => 0o2,
        EntryKind::Directory => 0o4,
        EntryKind::BlockDevice => 0o6,
        EntryKind::File => 0o10,
        EntryKind::Symlink => 0o12,
        EntryKind::Socket => 0o14,
    };
    digit << 12
}

fn kept(situation: &Situation<'_>, inode: &Inode) -> PosixMetadata {
    let (options, found) = (situation.options, &inode.attributes);
    let mut metadata = PosixMetadata::default();
    if options.uid != Uid::None {
        metadata.owner = Some(found.uid);
    }
    if options.gid != Gid::None {
        metadata.group = Some(found.gid);
    }
    if options.posix_permissions == PosixPermissions::Preserve {
        metadata.permissions = Some(type_bits(found.kind) + found.mode);
    } else if found.kind == EntryKind::Symlink {
        metadata.permissions = Some(type_bits(found.kind) + 0o777);
    }
    if options.mtime == Mtime::Preserve {
        metadata.mtime = Some(found.mtime);
    }
    if options.atime == Atime::BestEffort {
        metadata.atime = Some(found.atime);
    }
    metadata
}

struct Copying<'a> {
    situation: &'a Situation<'a>,
    key: &'a Key,
    /// Whether the source must be read for it.
    has_content: bool,
    is_unreadable: bool,
    metadata: PosixMetadata,
    content: Bytes,
}

impl<'a> Copying<'a> {
    fn of(
        situation: &'a Situation<'a>,
        path: &[u8],
        inode: &Inode,
        (key, content): (&'a Key, Bytes),
    ) -> Self {
        Self {
            situation,
            key,
            has_content: matches!(inode.attributes.kind, EntryKind::File | EntryKind::Symlink),
            is_unreadable: situation.trouble.unreadable.contains(path),
            metadata: kept(situation, inode),
            content,
        }
    }

    fn check(&self, is_same: bool) -> Check {
        match self.situation.options.verify_mode {
            VerifyMode::PointInTimeConsistent if is_same => Check::Good,
            VerifyMode::PointInTimeConsistent => Check::Differs(ErrorCode::ChecksumMismatch),
            VerifyMode::OnlyFilesTransferred | VerifyMode::None => Check::None,
        }
    }

    fn written(&self, contents: Vec<Bytes>, class: &str, bytes: u64) -> Ending {
        Ending {
            outcome: Outcome::Transferred,
            fate: Fate::Written {
                contents,
                metadata: self.metadata,
                class: class.to_owned(),
            },
            bytes,
            check: self.check(true),
            code: None,
        }
    }

    /// The object is written with the source's content.
    fn anew(&self, class: &str) -> Vec<Ending> {
        let mut denied = Vec::new();
        if self.is_unreadable && self.has_content {
            denied.push(failed(ErrorCode::SourcePermissionDenied));
        }
        if self.situation.trouble.unwritable.contains(self.key) {
            denied.push(failed(ErrorCode::DestinationPermissionDenied));
        }
        if !denied.is_empty() {
            return denied;
        }
        let content = self.content.clone();
        let bytes = content.len() as u64;
        vec![self.written(vec![content], class, bytes)]
    }

    /// `TransferMode=CHANGED` with an object that may be replaced.
    fn changed(&self, inode: &Inode, stored: &Stored) -> Vec<Ending> {
        let class = stored.storage_class.as_str();
        let (wanted, found) = (&self.metadata, &stored.metadata);
        let differs = |wanted: Option<u32>, found: Option<u32>| wanted.is_some() && wanted != found;
        let other_type = found
            .permissions
            .is_some_and(|mode| mode & 0o170_000 != type_bits(inode.attributes.kind));
        let other_time = self.has_time(inode) && wanted.mtime != found.mtime;
        if stored.content.len() != self.content.len() || other_type || other_time {
            return self.anew(class);
        }
        let other_metadata = differs(wanted.owner, found.owner)
            || differs(wanted.group, found.group)
            || differs(wanted.permissions, found.permissions)
            || (wanted.mtime.is_some() && wanted.mtime != found.mtime);
        let is_same = stored.content == self.content;
        let mut endings = if other_metadata {
            self.metadata_only(stored, class, is_same)
        } else {
            self.unchanged(stored, class, is_same)
        };
        if self.is_unreadable && self.has_content {
            // Whether it must be read depends on what the agent remembers.
            for ending in endings.clone() {
                if ending.check != Check::None {
                    let check = Check::Differs(ErrorCode::SourcePermissionDenied);
                    endings.push(Ending { check, ..ending });
                }
            }
            endings.push(failed(ErrorCode::SourcePermissionDenied));
        }
        endings
    }

    /// Whether mtime tells of the content.
    fn has_time(&self, inode: &Inode) -> bool {
        self.metadata.mtime.is_some()
            && matches!(inode.attributes.kind, EntryKind::File | EntryKind::Symlink)
    }

    fn metadata_only(&self, stored: &Stored, class: &str, is_same: bool) -> Vec<Ending> {
        if self.situation.trouble.unwritable.contains(self.key) {
            let mut endings = vec![failed(ErrorCode::DestinationPermissionDenied)];
            if self.is_unreadable && self.has_content {
                endings.push(failed(ErrorCode::SourcePermissionDenied));
            }
            return endings;
        }
        let mut kept = self.written(vec![stored.content.clone()], class, 0);
        kept.check = self.check(is_same);
        let mut endings = vec![kept.clone()];
        let bytes = self.content.len() as u64;
        if self.is_unreadable && self.has_content {
            // Where the store does not vouch for its copy, only the source can.
            let unproven = failed(ErrorCode::SourcePermissionDenied);
            endings.push(Ending {
                fate: kept.fate,
                ..unproven
            });
        } else {
            // Then it is copied anew.
            endings.push(self.written(vec![self.content.clone()], class, bytes));
        }
        endings
    }

    fn unchanged(&self, stored: &Stored, class: &str, is_same: bool) -> Vec<Ending> {
        let stays = left(Outcome::Unchanged, self.check(is_same), None);
        if is_same {
            return vec![stays];
        }
        let is_remembered = self.situation.remembered.get(self.key) == Some(&stored.etag);
        let mut endings = self.anew(class);
        if !is_remembered {
            endings.push(stays);
        }
        endings
    }
}
