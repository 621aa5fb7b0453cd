use datasync_endpoint::Key;
use datasync_model::{Atime, Mtime, Pair, TaskMode};
use proptest::prelude::*;

use super::*;

fn options() -> Options {
    Options::defaults(
        TaskMode::Basic,
        Pair {
            object_to_object: false,
            storage_class: None,
        },
    )
}

fn at(seconds: i64) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: 5,
    }
}

fn attributes(kind: EntryKind) -> Attributes {
    Attributes {
        kind,
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

fn listed(size: u64) -> ListedObject {
    ListedObject {
        key: Key::default(),
        size,
        etag: String::new(),
        last_modified: at(200),
        storage_class: Some("GLACIER".to_owned()),
    }
}

fn state(source: &Attributes) -> ObjectState {
    ObjectState {
        kind: None,
        size: if source.kind == EntryKind::Directory {
            0
        } else {
            source.size
        },
        etag: String::new(),
        metadata: PosixMetadata::kept(source, &options()),
        crc64: None,
        checksum: None,
        storage_class: None,
        extended: None,
    }
}

fn difference(source: &Attributes, found: &ObjectState, options: &Options) -> Difference {
    compare(
        source,
        &PosixMetadata::kept(source, options),
        found,
        at(200),
    )
}

#[test]
fn what_cannot_be_an_object_is_skipped_with_its_kind() {
    for kind in [EntryKind::Fifo, EntryKind::Socket, EntryKind::BlockDevice] {
        let decision = decide(&attributes(kind), None, &options());
        assert_eq!(decision, Decision::Skip(SkipReason::UnsupportedKind(kind)));
    }
    let keep = Options {
        preserve_devices: PreserveDevices::Preserve,
        ..options()
    };
    let decision = decide(&attributes(EntryKind::BlockDevice), None, &keep);
    assert_eq!(decision, Decision::Copy(Copy::default()));
}

#[test]
fn the_listing_decides_where_it_can() {
    let file = attributes(EntryKind::File);
    let never = Options {
        overwrite_mode: OverwriteMode::Never,
        ..options()
    };
    let all = Options {
        transfer_mode: TransferMode::All,
        ..options()
    };
    let kept = Copy {
        storage_class: Some("GLACIER".to_owned()),
        ..Copy::default()
    };
    let absent = Copy {
        only_if_absent: true,
        ..Copy::default()
    };
    assert_eq!(
        decide(&file, None, &options()),
        Decision::Copy(Copy::default())
    );
    assert_eq!(decide(&file, None, &never), Decision::Copy(absent));
    assert_eq!(
        decide(&file, Some(&listed(11)), &never),
        Decision::Skip(SkipReason::OverwriteProtected)
    );
    assert_eq!(
        decide(&file, Some(&listed(11)), &options()),
        Decision::Copy(kept)
    );
    assert_eq!(decide(&file, Some(&listed(10)), &options()), Decision::Stat);
    assert_eq!(
        decide(&file, Some(&listed(10)), &all),
        Decision::Copy(Copy::default())
    );
}

#[test]
fn every_kept_attribute_is_compared() {
    let source = attributes(EntryKind::File);
    let same = state(&source);
    assert_eq!(difference(&source, &same, &options()), Difference::None);
    for change in [
        |m: &mut PosixMetadata| m.owner = Some(9),
        |m: &mut PosixMetadata| m.group = None,
        |m: &mut PosixMetadata| m.permissions = Some(0o100_600),
    ] {
        let mut found = same.clone();
        change(&mut found.metadata);
        assert_eq!(
            difference(&source, &found, &options()),
            Difference::Metadata
        );
    }
    let mut found = same.clone();
    found.metadata.atime = None;
    assert_eq!(difference(&source, &found, &options()), Difference::None);
    found.metadata.mtime = None;
    assert_eq!(difference(&source, &found, &options()), Difference::Content);
    found = ObjectState { size: 9, ..same };
    assert_eq!(difference(&source, &found, &options()), Difference::Content);
}

#[test]
fn an_object_of_another_kind_is_written_anew() {
    let source = attributes(EntryKind::File);
    let mut found = state(&source);
    found.metadata.permissions = Some(0o120_644);
    assert_eq!(difference(&source, &found, &options()), Difference::Content);
}

#[test]
fn a_touched_directory_needs_only_metadata() {
    let source = attributes(EntryKind::Directory);
    let mut found = state(&source);
    found.metadata.mtime = Some(at(1));
    assert_eq!(
        difference(&source, &found, &options()),
        Difference::Metadata
    );
}

#[test]
fn without_mtime_the_stores_own_date_decides() {
    let options = Options {
        mtime: Mtime::None,
        atime: Atime::None,
        ..options()
    };
    let source = attributes(EntryKind::File);
    let mut found = state(&source);
    found.metadata.mtime = None;
    assert_eq!(difference(&source, &found, &options), Difference::None);
    let edited = Attributes {
        mtime: at(300),
        ..source
    };
    assert_eq!(difference(&edited, &found, &options), Difference::Content);
}

/// The smallest memory target is 64 MiB, the budget half of it.
#[test]
fn the_smallest_budget_holds_the_smallest_part_and_streams_larger_ones() {
    let budget = 32 * MEBIBYTE;
    assert!(!is_streamed(SINGLE_PUT_MAX, budget));
    assert!(is_streamed(SINGLE_PUT_MAX + 1, budget));
    assert!(!is_streamed(16 * MEBIBYTE, 2 * budget));
}

proptest! {
    #[test]
    fn parts_cover_the_file_exactly(size in 1u64..50_000_000_000_000, parts_max in 1u32..=10_000) {
        let layout = PartLayout::of(size, parts_max);
        let mut next = 0;
        let mut count = 0;
        for (number, offset, length) in layout.parts() {
            count += 1;
            prop_assert_eq!(number, count);
            prop_assert_eq!(offset, next);
            prop_assert!(length > 0 && length <= layout.part);
            next += length;
        }
        prop_assert_eq!(next, size);
        prop_assert!(count <= parts_max);
    }
}

#[test]
fn links_whose_times_nobody_can_set_are_compared_by_when_they_were_made() {
    let options = options();
    let mut link = attributes(EntryKind::Symlink);
    assert_eq!(wanted(&link, &options, true).mtime, Some(link.mtime));
    let kept = wanted(&link, &options, false);
    assert_eq!((kept.mtime, kept.atime), (None, None));
    let file = attributes(EntryKind::File);
    assert_eq!(
        wanted(&file, &options, false),
        PosixMetadata::kept(&file, &options)
    );
    let mut found = state(&link);
    found.metadata.mtime = Some(at(7));
    assert_eq!(compare(&link, &kept, &found, at(200)), Difference::None);
    link.ctime = at(200);
    assert_eq!(compare(&link, &kept, &found, at(200)), Difference::Content);
}
