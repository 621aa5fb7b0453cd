//! What is to be done with one entry of the merge: plain functions of values.

mod action;

use datasync_endpoint::{
    Attributes, EntryKind, ExtendedMetadata, ListedObject, ObjectState, PosixMetadata, Timestamp,
    part_length,
};
use datasync_model::{Options, OverwriteMode, PreserveDevices, TransferMode};

pub(crate) use action::{Action, Facts, Next};

/// Why an entry is left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkipReason {
    /// Sockets and FIFOs, and devices unless `PreserveDevices=PRESERVE`.
    UnsupportedKind(EntryKind),
    /// `OverwriteMode=NEVER` and something is there.
    OverwriteProtected,
}

/// What to do, as far as the listing tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Leave out.
    Skip(SkipReason),
    /// Write content and metadata.
    Copy(Copy),
    /// The listing does not tell: ask the destination.
    Stat,
}

/// How an object is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Refuse to replace an object that appeared meanwhile.
    pub(crate) only_if_absent: bool,
    /// Class of the object that is replaced, which stays as it is; `None` for a new one.
    pub(crate) storage_class: Option<String>,
    /// Access control list and extended attributes that it gets.
    pub(crate) extended: Option<Box<ExtendedMetadata>>,
}

/// What to do, once the destination's state is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Nothing.
    None,
    /// Only metadata differs.
    Metadata,
    /// Content may differ.
    Content,
}

/// The content that an entry's object has: the file's bytes, a link's target, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    File,
    LinkTarget,
    Empty,
}

/// The content of an entry's object; `None` if the options leave such entries out.
pub(crate) fn content_of(kind: EntryKind, options: &Options) -> Option<Content> {
    match kind {
        EntryKind::File => Some(Content::File),
        EntryKind::Symlink => Some(Content::LinkTarget),
        EntryKind::Directory => Some(Content::Empty),
        EntryKind::BlockDevice | EntryKind::CharDevice
            if options.preserve_devices == PreserveDevices::Preserve =>
        {
            Some(Content::Empty)
        }
        EntryKind::BlockDevice | EntryKind::CharDevice | EntryKind::Fifo | EntryKind::Socket => {
            None
        }
    }
}

/// What the options keep of an entry's attributes, as far as the destination can keep it.
pub(crate) fn wanted(
    source: &Attributes,
    options: &Options,
    keeps_link_times: bool,
) -> PosixMetadata {
    let kept = PosixMetadata::kept(source, options);
    if source.kind != EntryKind::Symlink || keeps_link_times {
        return kept;
    }
    PosixMetadata {
        mtime: None,
        atime: None,
        ..kept
    }
}

/// Decides from the source's attributes and the listing alone.
pub(crate) fn decide(
    source: &Attributes,
    listed: Option<&ListedObject>,
    options: &Options,
) -> Decision {
    let Some(content) = content_of(source.kind, options) else {
        return Decision::Skip(SkipReason::UnsupportedKind(source.kind));
    };
    let never = options.overwrite_mode == OverwriteMode::Never;
    let Some(listed) = listed else {
        return Decision::Copy(Copy {
            only_if_absent: never,
            ..Copy::default()
        });
    };
    if never {
        return Decision::Skip(SkipReason::OverwriteProtected);
    }
    let replace = |storage_class| {
        Decision::Copy(Copy {
            storage_class,
            ..Copy::default()
        })
    };
    if options.transfer_mode == TransferMode::All {
        return replace(None);
    }
    let size_known_to_differ = match content {
        Content::File => listed.size != source.size,
        Content::Empty => listed.size != 0,
        Content::LinkTarget => false,
    };
    if size_known_to_differ {
        replace(listed.storage_class.clone())
    } else {
        Decision::Stat
    }
}

/// Compares an entry with the object of the same key.
///
/// `wanted` is what is to be kept of the source's attributes. Without a kept mtime the object
/// counts as current only if the store wrote it after the source's last change.
pub(crate) fn compare(
    source: &Attributes,
    wanted: &PosixMetadata,
    found: &ObjectState,
    last_modified: Timestamp,
) -> Difference {
    let content_differs = match source.kind {
        EntryKind::File | EntryKind::Symlink => {
            found.size != source.size
                || match wanted.mtime {
                    Some(_) => found.metadata.mtime != wanted.mtime,
                    None => source.mtime.max(source.ctime) >= last_modified,
                }
        }
        _ => found.size != 0,
    };
    // An object that is copied as it is may say what it likes of itself.
    let found_permissions = wanted.permissions.and(found.metadata.permissions);
    let found_kind = found
        .kind
        .or_else(|| found_permissions.and_then(EntryKind::from_mode));
    let kind_differs = found_kind.is_some_and(|kind| kind != source.kind);
    if content_differs || kind_differs {
        Difference::Content
    } else if wanted.agrees_with(&found.metadata) {
        Difference::None
    } else {
        Difference::Metadata
    }
}

/// How a file is cut into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartLayout {
    /// Length of the file in bytes.
    pub(crate) size: u64,
    /// Length of every part but the last.
    pub(crate) part: u64,
}

const MEBIBYTE: u64 = 1 << 20;

/// Files up to this size go out in one request, in bytes.
pub(crate) const SINGLE_PUT_MAX: u64 = 8 * MEBIBYTE;

impl PartLayout {
    /// The layout of a file: parts of 8 MiB, or of as many whole MiB as `parts_max` parts need.
    pub(crate) fn of(size: u64, parts_max: u32) -> Self {
        let part = part_length(size, parts_max);
        Self { size, part }
    }

    /// Number, offset and length of every part.
    pub(crate) fn parts(self) -> impl Iterator<Item = (u32, u64, u64)> {
        let count = u32::try_from(self.size.div_ceil(self.part)).unwrap_or(u32::MAX);
        (0..count).map(move |index| {
            let offset = u64::from(index) * self.part;
            (index + 1, offset, self.part.min(self.size - offset))
        })
    }
}

/// Whether a part is sent while it is read: at most a quarter of a memory budget of `budget` bytes
/// holds one part.
pub(crate) fn is_streamed(part: u64, budget: u64) -> bool {
    part > budget / 4
}

#[cfg(test)]
mod tests;
