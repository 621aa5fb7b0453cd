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
/// other one, once its times are as they were.
fn etag(attributes: &Attributes) -> String {
    let Attributes {
        mode,
        uid,
        gid,
        size,
        file_id,
        ..
    } = attributes;
    let (mtime, ctime) = (
        attributes.mtime.as_nanoseconds(),
        attributes.ctime.as_nanoseconds(),
    );
    match attributes.kind {
        EntryKind::Directory => format!("\"d-{file_id:x}-{mode:o}-{uid:x}-{gid:x}-{mtime}\""),
        kind => {
            let kind = kind.mode_bits() >> 12;
            format!("\"{kind:x}-{file_id:x}-{size:x}-{mtime}-{ctime}\"")
        }
    }
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
            size: size(attributes),
            etag: etag(attributes),
            metadata: PosixMetadata {
                owner: Some(attributes.uid),
                group: Some(attributes.gid),
                permissions: Some(attributes.kind.mode_bits() | attributes.mode),
                mtime: Some(attributes.mtime),
                atime: Some(attributes.atime),
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
