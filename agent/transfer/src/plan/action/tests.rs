use datasync_endpoint::{Crc64, EntryKind, Key, Timestamp};
use datasync_model::{OverwriteMode, Pair, TaskMode};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: 0,
    }
}

fn options() -> Options {
    let pair = Pair {
        object_to_object: false,
        storage_class: None,
    };
    Options::defaults(TaskMode::Basic, pair)
}

fn file() -> Attributes {
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

fn listed() -> ListedObject {
    ListedObject {
        key: Key::default(),
        size: 10,
        etag: "e".to_owned(),
        last_modified: at(200),
        storage_class: Some("GLACIER".to_owned()),
    }
}

fn found() -> ObjectState {
    ObjectState {
        kind: None,
        size: 10,
        etag: "e".to_owned(),
        metadata: PosixMetadata::kept(&file(), &options()),
        crc64: Some(Crc64(5)),
        checksum: None,
        storage_class: Some("GLACIER".to_owned()),
        extended: None,
    }
}

fn known() -> Entry {
    Entry::found(&file(), &listed(), &found()).unwrap()
}

/// The object that is there keeps its class.
fn replaced() -> Action {
    replace(Some("GLACIER".to_owned()))
}

fn next(source: &Attributes, listed: Option<&ListedObject>, known: Option<&Entry>) -> Next {
    let options = options();
    let facts = Facts {
        keeps_link_times: true,
        source,
        listed,
        known,
        options: &options,
        keeps_extended: false,
        names_versions: false,
        own_names: 1,
    };
    facts.next()
}

#[test]
fn what_is_at_hand_decides_where_it_can() {
    let (listed, known, ten) = (listed(), known(), file());
    let eleven = Attributes { size: 11, ..ten };
    let touched = Attributes {
        mtime: at(150),
        ctime: at(150),
        ..ten
    };
    let changed = Attributes {
        ctime: at(150),
        ..ten
    };
    let renamed = Attributes {
        uid: 9,
        ctime: at(150),
        ..ten
    };
    let content = ReadBack {
        size: 10,
        crc64: Crc64(5),
    };
    let new = Action::Copy(Copy::default());
    for (source, object, memory, expected) in [
        (ten, None, None, Next::Do(new)),
        (ten, Some(&listed), None, Next::Ask),
        (eleven, Some(&listed), None, Next::Do(replaced())),
        (
            ten,
            Some(&listed),
            Some(&known),
            Next::Do(Action::Keep(None)),
        ),
        (touched, Some(&listed), Some(&known), Next::Do(replaced())),
        (changed, Some(&listed), Some(&known), Next::Read(content)),
        (renamed, Some(&listed), Some(&known), Next::Ask),
    ] {
        assert_eq!(next(&source, object, memory), expected, "{source:?}");
    }
    let fifo = Attributes {
        kind: EntryKind::Fifo,
        ..ten
    };
    let skipped = Action::Skip(SkipReason::UnsupportedKind(EntryKind::Fifo));
    assert_eq!(next(&fifo, None, None), Next::Do(skipped));
}

#[test]
fn what_was_read_or_told_decides_the_rest() {
    let (source, listed, known, options) = (file(), listed(), known(), options());
    let facts = Facts {
        keeps_link_times: true,
        source: &source,
        listed: Some(&listed),
        known: Some(&known),
        options: &options,
        keeps_extended: false,
        names_versions: false,
        own_names: 1,
    };
    assert_eq!(facts.after_reading(true), Action::Keep(None));
    assert_eq!(facts.after_reading(false), replaced());
    let told = |found: ObjectState| facts.after_asking(Some(found), true);
    let other = |edit: fn(&mut ObjectState)| {
        let mut other = found();
        edit(&mut other);
        other
    };
    let new = Action::Copy(Copy::default());
    assert_eq!(facts.after_asking(None, true), new);
    assert_eq!(told(found()), Action::Keep(Some(Box::new(found()))));
    let other_list = facts.after_asking(Some(found()), false);
    assert_eq!(other_list, Action::Metadata(Box::new(found())));
    assert_eq!(told(other(|found| found.size = 9)), replaced());
    let chmod = other(|found| found.metadata.owner = Some(9));
    assert_eq!(told(chmod.clone()), Action::Metadata(Box::new(chmod)));
}

#[test]
fn without_mtime_what_others_wrote_over_the_object_is_known_by_its_etag() {
    let options = Options {
        mtime: Mtime::None,
        ..options()
    };
    let (source, known) = (file(), known());
    let mut theirs = listed();
    theirs.etag = "f".to_owned();
    theirs.last_modified = at(300);
    let facts = Facts {
        source: &source,
        listed: Some(&theirs),
        known: Some(&known),
        options: &options,
        keeps_link_times: true,
        keeps_extended: false,
        names_versions: true,
        own_names: 1,
    };
    assert_eq!(facts.next(), Next::Ask);
    for (crc64, is_kept) in [
        (Some(Crc64(5)), true),
        (Some(Crc64(6)), false),
        (None, false),
    ] {
        let mut found = found();
        (found.etag, found.crc64) = ("f".to_owned(), crc64);
        let action = facts.after_asking(Some(found), true);
        assert_eq!(matches!(action, Action::Keep(_)), is_kept, "{crc64:?}");
        assert!(is_kept || action == replaced());
    }
}

#[test]
fn an_empty_object_is_written_anew_rather_than_copied_onto_itself() {
    let source = Attributes { size: 0, ..file() };
    let options = options();
    let facts = Facts {
        keeps_link_times: true,
        source: &source,
        listed: None,
        known: None,
        options: &options,
        keeps_extended: false,
        names_versions: false,
        own_names: 1,
    };
    let mut empty = found();
    (empty.size, empty.metadata.owner) = (0, Some(9));
    assert_eq!(facts.after_asking(Some(empty), true), replaced());
}

#[test]
fn what_is_protected_is_not_asked_about() {
    let mut options = options();
    options.overwrite_mode = OverwriteMode::Never;
    let (source, listed) = (file(), listed());
    let facts = Facts {
        keeps_link_times: true,
        source: &source,
        listed: Some(&listed),
        known: None,
        options: &options,
        keeps_extended: false,
        names_versions: false,
        own_names: 1,
    };
    let skipped = Action::Skip(SkipReason::OverwriteProtected);
    assert_eq!(facts.next(), Next::Do(skipped));
}
