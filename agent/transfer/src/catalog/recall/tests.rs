use datasync_endpoint::{EntryKind, Key, ObjectState, Timestamp};
use datasync_model::{Mtime, Options, Pair, TaskMode, Uid};

use super::*;
use crate::catalog::tests::at;

pub(in crate::catalog) fn file() -> Attributes {
    Attributes {
        kind: EntryKind::File,
        mode: 0o644,
        uid: 1,
        gid: 2,
        size: 10,
        nlink: 1,
        file_id: 7,
        fsid: 1,
        mtime: at(100),
        ctime: at(100),
        atime: at(100),
        device: None,
    }
}

fn options() -> Options {
    let pair = Pair {
        object_to_object: false,
        storage_class: None,
    };
    Options::defaults(TaskMode::Basic, pair)
}

fn listed() -> ListedObject {
    ListedObject {
        key: Key::default(),
        size: 10,
        etag: "\"e\"".to_owned(),
        last_modified: at(200),
        storage_class: Some("STANDARD".to_owned()),
    }
}

fn known(crc64: Option<Crc64>) -> Entry {
    let found = ObjectState {
        kind: None,
        size: 10,
        etag: "\"e\"".to_owned(),
        metadata: PosixMetadata::kept(&file(), &options()),
        crc64,
        checksum: None,
        storage_class: Some("STANDARD".to_owned()),
        extended: None,
    };
    Entry::found(&file(), &listed(), &found).unwrap()
}

fn recalled(
    known: &Entry,
    listed: &ListedObject,
    source: &Attributes,
    options: &Options,
) -> Recall {
    let wanted = PosixMetadata::kept(source, options);
    recall(known, listed, (source, false), &wanted, options)
}

#[test]
fn an_object_that_is_listed_otherwise_is_asked_for() {
    let changes: [fn(&mut ListedObject); 4] = [
        |listed| listed.size = 11,
        |listed| listed.etag = "\"f\"".to_owned(),
        |listed| listed.last_modified = at(201),
        |listed| listed.storage_class = Some("GLACIER".to_owned()),
    ];
    let known = known(Some(Crc64(1)));
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = listed();
        change(&mut other);
        let said = recalled(&known, &other, &file(), &options());
        assert_eq!(said, Recall::Ask, "change {number}");
    }
    assert_eq!(
        recalled(&known, &listed(), &file(), &options()),
        Recall::Unchanged
    );
}

#[test]
fn each_change_of_the_source_is_told_apart() {
    let suspect = Recall::Suspect(Crc64(1));
    type Change = fn(&mut Attributes);
    let changes: [(Change, Recall); 8] = [
        (|file| file.atime = at(300), Recall::Unchanged),
        (|file| file.nlink = 2, Recall::Unchanged),
        (|file| file.size = 11, Recall::Content),
        (|file| file.mtime = at(101), Recall::Content),
        (|file| file.mode = 0o600, Recall::Ask),
        (|file| file.uid = 0, Recall::Ask),
        (|file| file.ctime = at(101), suspect),
        (|file| file.file_id = 8, suspect),
    ];
    for (number, (change, wanted)) in changes.into_iter().enumerate() {
        let mut changed = file();
        change(&mut changed);
        let said = recalled(&known(Some(Crc64(1))), &listed(), &changed, &options());
        assert_eq!(said, wanted, "change {number}");
        let said = recalled(&known(None), &listed(), &changed, &options());
        let without_checksum = if wanted == suspect {
            Recall::Ask
        } else {
            wanted
        };
        assert_eq!(said, without_checksum, "change {number}");
    }
}

#[test]
fn a_touched_inode_of_a_directory_means_nothing() {
    let directory = Attributes {
        kind: EntryKind::Directory,
        size: 4096,
        ..file()
    };
    let empty = ListedObject {
        size: 0,
        ..listed()
    };
    let found = ObjectState {
        kind: None,
        size: 0,
        etag: "\"e\"".to_owned(),
        metadata: PosixMetadata::kept(&directory, &options()),
        crc64: None,
        checksum: None,
        storage_class: None,
        extended: None,
    };
    let known = Entry::found(&directory, &empty, &found).unwrap();
    let grown = Attributes {
        size: 8192,
        ctime: at(101),
        ..directory
    };
    assert_eq!(
        recalled(&known, &empty, &grown, &options()),
        Recall::Unchanged
    );
    let touched = Attributes {
        mtime: at(101),
        ..directory
    };
    assert_eq!(recalled(&known, &empty, &touched, &options()), Recall::Ask);
}

#[test]
fn other_options_are_compared_with_what_the_object_has() {
    let without_owner = Options {
        uid: Uid::None,
        ..options()
    };
    let full = known(None);
    assert_eq!(
        recalled(&full, &listed(), &file(), &without_owner),
        Recall::Unchanged
    );
    let mut ownerless = known(None);
    ownerless.metadata.owner = None;
    assert_eq!(
        recalled(&ownerless, &listed(), &file(), &options()),
        Recall::Ask
    );
}

#[test]
fn without_mtime_the_stores_own_date_decides() {
    let without_mtime = Options {
        mtime: Mtime::None,
        ..options()
    };
    let mut changed = file();
    assert_eq!(
        recalled(&known(None), &listed(), &changed, &without_mtime),
        Recall::Unchanged
    );
    changed.ctime = Timestamp {
        seconds: 200,
        nanoseconds: 1,
    };
    assert_eq!(
        recalled(&known(None), &listed(), &changed, &without_mtime),
        Recall::Content
    );
}

#[test]
fn without_mtime_a_version_that_was_copied_is_current_whenever_that_was() {
    let without_mtime = Options {
        mtime: Mtime::None,
        ..options()
    };
    // In the second of the source's change.
    let mut quick = listed();
    quick.last_modified = at(100);
    let known = known(None).confirmed(&file(), &quick);
    let mut other = file();
    other.file_id = 8;
    for (source, names_versions, expected) in [
        (file(), true, Recall::Unchanged),
        (file(), false, Recall::Content),
        (other, true, Recall::Content),
    ] {
        let wanted = PosixMetadata::kept(&source, &without_mtime);
        let source = (&source, names_versions);
        let said = recall(&known, &quick, source, &wanted, &without_mtime);
        assert_eq!(said, expected, "{source:?}");
    }
}

#[test]
fn head_about_another_object_than_the_listed_one_teaches_nothing() {
    for (size, etag) in [(11, "\"e\""), (10, "\"f\"")] {
        let found = ObjectState {
            kind: None,
            size,
            etag: etag.to_owned(),
            metadata: PosixMetadata::default(),
            crc64: None,
            checksum: None,
            storage_class: None,
            extended: None,
        };
        assert_eq!(Entry::found(&file(), &listed(), &found), None);
    }
}
