//! What an object is as an item of a file system (DataSync user guide, "How DataSync handles metadata
//! and special files").

use datasync_endpoint::{Attributes, Crc64, EntryKind, PosixMetadata, Timestamp};

use super::handle::Item;

/// Owner and group of what carries none.
const NOBODY: u32 = 65_534;
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

fn hash(text: &str) -> u64 {
    Crc64::of(text.as_bytes()).0
}

/// An object as it is: its metadata says nothing of what it is.
pub(super) fn of_object(item: &Item, fsid: u64) -> Attributes {
    Attributes {
        kind: EntryKind::File,
        mode: FILE_MODE,
        uid: NOBODY,
        gid: NOBODY,
        size: item.size,
        nlink: 1,
        file_id: hash(&item.etag),
        fsid,
        mtime: item.modified,
        ctime: item.modified,
        atime: item.modified,
        device: None,
    }
}

/// The file, link or device that an object's metadata describe.
pub(super) fn of_file(item: &Item, metadata: &PosixMetadata, fsid: u64) -> Attributes {
    let told = metadata.permissions.and_then(EntryKind::from_mode);
    let kind = match told {
        Some(EntryKind::Symlink) => EntryKind::Symlink,
        // What has content is a file, whatever else is said of it, and so is what has no slash.
        Some(kind) if item.size == 0 && kind != EntryKind::Directory => kind,
        _ => EntryKind::File,
    };
    let attributes = described(of_object(item, fsid), metadata);
    let is_device = matches!(kind, EntryKind::BlockDevice | EntryKind::CharDevice);
    Attributes {
        kind,
        device: metadata.device.filter(|_| is_device),
        ..attributes
    }
}

/// A directory. Nobody tells when something in it changed: it counts as changed when the source was
/// opened, so that what was known of it before is not trusted.
pub(super) fn of_directory(
    item: &Item,
    metadata: &PosixMetadata,
    fsid: u64,
    opened: Timestamp,
) -> Attributes {
    let plain = Attributes {
        kind: EntryKind::Directory,
        mode: DIRECTORY_MODE,
        size: 0,
        file_id: hash(&item.key),
        ctime: opened,
        ..of_object(item, fsid)
    };
    described(plain, metadata)
}

fn described(plain: Attributes, metadata: &PosixMetadata) -> Attributes {
    let mtime = metadata.mtime.unwrap_or(plain.mtime);
    Attributes {
        mode: metadata
            .permissions
            .map_or(plain.mode, |mode| mode & 0o7777),
        uid: metadata.owner.unwrap_or(plain.uid),
        gid: metadata.group.unwrap_or(plain.gid),
        mtime,
        atime: metadata.atime.unwrap_or(mtime),
        ..plain
    }
}

/// The time of a version: listings may tell parts of seconds, answers of HEAD and GET do not and may
/// have rounded either way. `before` is what was told of the same ETag.
pub(super) fn settled(before: Timestamp, now: Timestamp) -> Timestamp {
    let apart = before.as_nanoseconds().abs_diff(now.as_nanoseconds());
    if apart < 1_000_000_000 { before } else { now }
}

#[cfg(test)]
mod tests {
    use super::super::handle::Form;
    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp {
            seconds,
            nanoseconds,
        }
    }

    fn item(size: u64) -> Item {
        Item {
            form: Form::Object,
            size,
            modified: at(9, 0),
            etag: "\"e\"".to_owned(),
            key: "k".to_owned(),
        }
    }

    fn permissions(mode: u32) -> PosixMetadata {
        PosixMetadata {
            permissions: Some(mode),
            ..PosixMetadata::default()
        }
    }

    #[test]
    fn what_carries_nothing_has_defaults() {
        let file = of_file(&item(3), &PosixMetadata::default(), 1);
        assert_eq!(
            (file.kind, file.mode, file.size),
            (EntryKind::File, 0o644, 3)
        );
        assert_eq!((file.uid, file.gid), (65_534, 65_534));
        assert_eq!(
            (file.mtime, file.atime, file.ctime),
            (at(9, 0), at(9, 0), at(9, 0))
        );
        let directory = Item::prefix("d/".to_owned());
        let directory = of_directory(&directory, &PosixMetadata::default(), 1, at(50, 0));
        assert_eq!(
            (directory.kind, directory.mode),
            (EntryKind::Directory, 0o755)
        );
        assert_eq!((directory.mtime, directory.ctime), (at(0, 0), at(50, 0)));
    }

    #[test]
    fn type_bits_tell_the_kind_unless_there_is_content() {
        for (mode, size, kind, bits) in [
            (0o644, 3, EntryKind::File, 0o644),
            (0o100_600, 3, EntryKind::File, 0o600),
            (0o104_755, 3, EntryKind::File, 0o4755),
            (0o120_777, 3, EntryKind::Symlink, 0o777),
            (0o010_644, 0, EntryKind::Fifo, 0o644),
            (0o010_644, 3, EntryKind::File, 0o644),
            (0o060_660, 0, EntryKind::BlockDevice, 0o660),
            (0o040_755, 0, EntryKind::File, 0o755),
        ] {
            let found = of_file(&item(size), &permissions(mode), 1);
            assert_eq!((found.kind, found.mode), (kind, bits), "{mode:o} {size}");
        }
    }

    #[test]
    fn only_devices_have_numbers() {
        let device = Some(datasync_endpoint::DeviceNumbers { major: 8, minor: 1 });
        for (mode, size, wanted) in [
            (0o060_660, 0, device),
            (0o020_660, 0, device),
            (0o060_660, 3, None),
            (0o100_660, 0, None),
        ] {
            let metadata = PosixMetadata {
                device,
                ..permissions(mode)
            };
            assert_eq!(
                of_file(&item(size), &metadata, 1).device,
                wanted,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_version_has_one_time_however_it_is_rounded() {
        for (now, is_same) in [(at(9, 0), true), (at(10, 0), true), (at(8, 0), false)] {
            let found = settled(at(9, 250_000_000), now);
            assert_eq!(found == at(9, 250_000_000), is_same, "{now:?}");
        }
    }

    #[test]
    fn another_version_has_another_fingerprint() {
        let one = of_object(&item(3), 1).fingerprint();
        let mut other = item(3);
        other.etag = "\"f\"".to_owned();
        assert_ne!(of_object(&other, 1).fingerprint(), one);
    }
}
