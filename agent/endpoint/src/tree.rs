//! Destinations that are trees of files: their entries as objects.

use bytes::Bytes;

use crate::{
    Attributes, DirCursor, DirPage, EndpointError, EntryKind, Handle, Key, ListedObject, Node,
    ObjectState, PosixMetadata, ReadReply, Source, Timestamp,
};

/// The tree of a destination that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTree {}

impl Source for NoTree {
    fn read_max(&self) -> u32 {
        match *self {}
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        match *self {}
    }

    async fn read_dir(
        &self,
        _directory: &Handle,
        _cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        match *self {}
    }

    async fn lookup(
        &self,
        _directory: &Handle,
        _name: &[u8],
    ) -> Result<Option<Node>, EndpointError> {
        match *self {}
    }

    async fn attributes(&self, _handle: &Handle) -> Result<Attributes, EndpointError> {
        match *self {}
    }

    async fn read(
        &self,
        _file: &Handle,
        _offset: u64,
        _length: u32,
    ) -> Result<ReadReply, EndpointError> {
        match *self {}
    }

    async fn read_link(&self, _link: &Handle) -> Result<Bytes, EndpointError> {
        match *self {}
    }
}

/// What changes when an entry is changed, as the ETag of its object.
///
/// A directory's has no ctime, and no time but its own: what happens to its children makes it no
/// other one, once its times are as they were. A file's also says how many names it has, if several.
fn etag(attributes: &Attributes) -> String {
    let Attributes {
        mode,
        uid,
        gid,
        size,
        file_id,
        nlink,
        ..
    } = attributes;
    let (mtime, ctime) = (
        attributes.mtime.as_nanoseconds(),
        attributes.ctime.as_nanoseconds(),
    );
    match attributes.kind {
        EntryKind::Directory => format!("\"d-{file_id:x}-{mode:o}-{uid:x}-{gid:x}-{mtime}\""),
        kind => {
            let bits = kind.mode_bits() >> 12;
            let names = match kind {
                EntryKind::File if *nlink > 1 => format!("{NAMES}{nlink}"),
                _ => String::new(),
            };
            format!("\"{bits:x}-{file_id:x}-{size:x}-{mtime}-{ctime}{names}\"")
        }
    }
}

/// The file id of a directory of a tree, as its ETag tells it; `None` for anything else.
#[must_use]
pub fn directory_id(etag: &str) -> Option<u64> {
    let rest = etag.trim_matches('"').strip_prefix("d-")?;
    let (file_id, _) = rest.split_once('-')?;
    u64::from_str_radix(file_id, 16).ok()
}

/// Leads to the number of a file's names in its ETag.
const NAMES: char = 'x';

/// A file of a tree that several names lead to, as the ETag of each of them tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedFile {
    /// Identifier within the file system: the same for all of its names.
    pub file_id: u64,
    /// How many names it had when it was looked at; at least 2.
    pub names: u32,
}

impl SharedFile {
    /// `None` for an entry that has one name, and for an object of a store.
    #[must_use]
    pub fn of_etag(etag: &str) -> Option<Self> {
        let (entry, names) = etag.trim_matches('"').rsplit_once(NAMES)?;
        let file_id = entry.split('-').nth(1)?;
        Some(Self {
            file_id: u64::from_str_radix(file_id, 16).ok()?,
            names: names.parse().ok()?,
        })
    }
}

/// Whether two ETags of a tree are of one entry in one state. One more name for a file, or one less,
/// changes its ctime and nothing of what it is: where there are several, the ctime is left aside.
#[must_use]
pub fn is_same_entry(one: &str, other: &str) -> bool {
    let has_names = |etag| SharedFile::of_etag(etag).is_some();
    one == other || ((has_names(one) || has_names(other)) && is_same_file(one, other))
}

/// The same, the ctime aside also of a file with one name: a second one that it had for a moment
/// changes that.
#[must_use]
pub fn is_same_file(one: &str, other: &str) -> bool {
    fn without_ctime(etag: &str) -> Option<&str> {
        let entry = etag.trim_matches('"');
        let entry = entry.rsplit_once(NAMES).map_or(entry, |(entry, _)| entry);
        entry.rsplit_once('-').map(|(state, _)| state)
    }
    let states = without_ctime(one).zip(without_ctime(other));
    states.is_some_and(|(one, other)| one == other)
}

/// Directories and special files have no content.
fn size(attributes: &Attributes) -> u64 {
    match attributes.kind {
        EntryKind::File | EntryKind::Symlink => attributes.size,
        EntryKind::Directory
        | EntryKind::Fifo
        | EntryKind::Socket
        | EntryKind::BlockDevice
        | EntryKind::CharDevice => 0,
    }
}

impl ListedObject {
    /// An entry of a tree. A file was written when its inode was last changed; a directory when its
    /// mtime says, since the end of an execution sets the times of directories.
    #[must_use]
    pub fn of_entry(key: Key, attributes: &Attributes) -> Self {
        Self {
            key,
            size: size(attributes),
            etag: etag(attributes),
            last_modified: written(attributes),
            storage_class: None,
        }
    }
}

fn written(attributes: &Attributes) -> Timestamp {
    match attributes.kind {
        EntryKind::Directory => attributes.mtime,
        _ => attributes.ctime,
    }
}

impl ObjectState {
    /// An entry of a tree.
    #[must_use]
    pub fn of_entry(attributes: &Attributes) -> Self {
        Self {
            kind: Some(attributes.kind),
            size: size(attributes),
            etag: etag(attributes),
            metadata: PosixMetadata {
                owner: Some(attributes.uid),
                group: Some(attributes.gid),
                permissions: Some(attributes.kind.mode_bits() | attributes.mode),
                mtime: Some(attributes.mtime),
                atime: Some(attributes.atime),
                device: attributes.device,
            },
            extended: None,
            crc64: None,
            checksum: None,
            storage_class: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EntryKind) -> Attributes {
        let at = |seconds| Timestamp {
            seconds,
            nanoseconds: 5,
        };
        Attributes {
            kind,
            mode: 0o640,
            uid: 1,
            gid: 2,
            size: 4096,
            nlink: 1,
            file_id: 7,
            fsid: 8,
            mtime: at(10),
            ctime: at(20),
            atime: at(30),
            device: None,
        }
    }

    fn listed(attributes: &Attributes) -> ListedObject {
        ListedObject::of_entry(Key::default(), attributes)
    }

    #[test]
    fn every_change_of_a_file_is_another_etag() {
        let file = entry(EntryKind::File);
        let known = listed(&file);
        assert_eq!((known.size, known.last_modified), (4096, file.ctime));
        assert_eq!(ObjectState::of_entry(&file).etag, known.etag);
        let now = Timestamp {
            seconds: 21,
            nanoseconds: 5,
        };
        for changed in [
            Attributes { size: 4097, ..file },
            Attributes { file_id: 9, ..file },
            Attributes { mtime: now, ..file },
            Attributes { ctime: now, ..file },
            entry(EntryKind::Symlink),
        ] {
            assert_ne!(listed(&changed).etag, known.etag, "{changed:?}");
        }
        let read = Attributes { atime: now, ..file };
        assert_eq!(listed(&read).etag, known.etag);
    }

    #[test]
    fn the_names_of_one_file_are_the_same_entry_whenever_they_got_their_names() {
        let file = entry(EntryKind::File);
        let linked = |nlink, seconds| {
            let ctime = Timestamp {
                seconds,
                nanoseconds: 0,
            };
            listed(&Attributes {
                nlink,
                ctime,
                ..file
            })
            .etag
        };
        let (one, two, three) = (linked(1, 21), linked(2, 22), linked(3, 23));
        assert_eq!(SharedFile::of_etag(&one), None);
        let shared = SharedFile {
            file_id: 7,
            names: 3,
        };
        assert_eq!(SharedFile::of_etag(&three), Some(shared));
        for (this, that) in [(&one, &two), (&two, &three), (&three, &one), (&one, &one)] {
            assert!(is_same_entry(this, that), "{this} {that}");
        }
        assert!(!is_same_entry(&one, &linked(1, 22)), "it has one name");
        for other in [
            Attributes { size: 1, ..file },
            Attributes { file_id: 8, ..file },
            Attributes {
                mtime: file.atime,
                ..file
            },
        ] {
            let other = listed(&Attributes { nlink: 2, ..other }).etag;
            assert!(!is_same_entry(&two, &other), "{two} {other}");
        }
        for odd in [
            "",
            "\"",
            "\"5d41402abc4b2a76b9719d911017c592-2\"",
            "x2",
            "\"x\"",
        ] {
            assert_eq!(SharedFile::of_etag(odd), None, "{odd}");
            assert!(!is_same_entry(odd, &two), "{odd}");
        }
    }

    #[test]
    fn a_directory_is_the_same_whatever_became_of_its_children() {
        let directory = entry(EntryKind::Directory);
        let known = listed(&directory);
        assert_eq!((known.size, known.last_modified), (0, directory.mtime));
        let later = Timestamp {
            seconds: 21,
            nanoseconds: 0,
        };
        let touched = Attributes {
            ctime: later,
            size: 8192,
            nlink: 3,
            ..directory
        };
        assert_eq!(listed(&touched), known);
        for changed in [
            Attributes {
                mode: 0o750,
                ..directory
            },
            Attributes {
                uid: 9,
                ..directory
            },
            Attributes {
                gid: 9,
                ..directory
            },
            Attributes {
                mtime: later,
                ..directory
            },
        ] {
            assert_ne!(listed(&changed).etag, known.etag, "{changed:?}");
        }
    }

    #[test]
    fn the_state_tells_type_and_permissions() {
        let link = ObjectState::of_entry(&entry(EntryKind::Symlink));
        assert_eq!(link.metadata.permissions, Some(0o120_640));
        assert_eq!(link.size, 4096);
        assert_eq!(ObjectState::of_entry(&entry(EntryKind::Fifo)).size, 0);
    }
}
