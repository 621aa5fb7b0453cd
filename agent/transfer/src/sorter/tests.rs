use std::path::Path;

use datasync_endpoint::{Attributes, DeviceNumbers, EntryKind, ErrorKind, Handle, Key, Timestamp};
use proptest::prelude::*;

use super::*;

fn item(name: &[u8], number: u64) -> Item {
    let time = Timestamp {
        seconds: -1,
        nanoseconds: 999_999_999,
    };
    let attributes = Attributes {
        kind: EntryKind::File,
        mode: 0o4755,
        uid: 1,
        gid: u32::MAX,
        size: u64::MAX,
        nlink: 2,
        file_id: number,
        fsid: 3,
        mtime: time,
        ctime: Timestamp::default(),
        atime: time,
        device: number
            .is_multiple_of(2)
            .then_some(DeviceNumbers { major: 8, minor: 1 }),
    };
    let handle = Handle(Bytes::from(number.to_le_bytes().to_vec()));
    Item {
        segment: Key::sort_segment(name, false),
        name: Bytes::copy_from_slice(name),
        node: Ok(Node { handle, attributes }),
    }
}

fn spill(directory: &Path) -> Spill {
    Spill {
        directory: directory.to_owned(),
        disk: Disk::unbounded(),
        keeps_names: false,
    }
}

async fn sort(items: Vec<Item>, directory: &Path, memory: usize) -> (Vec<Item>, u64) {
    let mut sorter = Sorter::new(spill(directory), memory);
    for item in items {
        sorter.push(item).await.unwrap();
    }
    let mut entries = sorter.finish().await.unwrap();
    let mut found = Vec::new();
    while let Some(item) = entries.next().await.unwrap() {
        found.push(item);
    }
    (found, entries.duplicates())
}

#[test]
fn entries_survive_the_codec_and_cut_ones_are_refused() {
    let mut failed = item(b"bad\xff\n", 0);
    let error = EndpointError::new(ErrorKind::PermissionDenied, "LOOKUP", "/x", "no");
    failed.node = Err(Arc::new(error.with_unknown_effect()));
    for item in [item("é".as_bytes(), 7), failed] {
        let mut bytes = Vec::new();
        codec::encode(&item, &mut bytes);
        let mut rest = &bytes[..];
        let found = codec::decode(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert_eq!(format!("{found:?}"), format!("{item:?}"));
        for length in 0..bytes.len() {
            assert!(codec::decode(&mut &bytes[..length]).is_none(), "{length}");
        }
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let mut sorter = Sorter::new(spill(Path::new("/dev/null/spill")), 0);
    let error = sorter.push(item(b"a", 1)).await.unwrap_err();
    assert!(matches!(error, SortError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("/dev/null/spill"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_told_apart() {
    let full = SortError::io(Path::new("/x"), std::io::ErrorKind::StorageFull.into());
    assert!(matches!(full, SortError::NoSpace { .. }), "{full:?}");
}

#[tokio::test]
async fn what_is_spilled_stays_in_the_budget_and_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(64 * 1024, 0);
    let spill = Spill {
        directory: directory.path().to_owned(),
        disk: disk.clone(),
        keeps_names: false,
    };
    for (entries, fits) in [(200, true), (200, true), (2_000, false), (200, true)] {
        let mut sorter = Sorter::new(spill.clone(), 4096);
        let mut result = Ok(());
        for number in 0..entries {
            let entry = item(format!("entry {number}").as_bytes(), number);
            result = sorter.push(entry).await;
            if result.is_err() {
                break;
            }
        }
        match result {
            Ok(()) => assert!(fits),
            Err(SortError::Budget(error)) if !fits => {
                assert!(error.to_string().contains("state_disk_max"), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
        drop(sorter);
        disk.take(64 * 1024).unwrap();
        disk.give_back(64 * 1024);
    }
}

#[test]
fn a_run_that_was_damaged_or_cut_is_refused() {
    use std::os::unix::fs::FileExt;

    let directory = tempfile::tempdir().unwrap();
    let written = || {
        let mut writer = RunWriter::create(&spill(directory.path()), 512).unwrap();
        for number in 0..9 {
            writer
                .write(&item(format!("entry {number}").as_bytes(), number))
                .unwrap();
        }
        writer.finish().unwrap()
    };
    let drain = |mut run: RunReader| {
        while run.next()?.is_some() {}
        run.next().map(|after| assert!(after.is_none()))
    };
    drain(written()).unwrap();
    let length = written().file.metadata().unwrap().len();
    assert!(length > 2 * 512, "several blocks");
    for at in 0..length {
        let run = written();
        let mut byte = [0];
        run.file.read_exact_at(&mut byte, at).unwrap();
        run.file.write_all_at(&[!byte[0]], at).unwrap();
        assert!(
            matches!(drain(run), Err(SortError::Damaged { .. })),
            "byte {at}"
        );
        let run = written();
        run.file.set_len(at).unwrap();
        assert!(
            matches!(drain(run), Err(SortError::Damaged { .. })),
            "cut at {at}"
        );
    }
}

#[tokio::test]
async fn a_million_entries_are_sorted_in_eight_mebibytes() {
    let directory = tempfile::tempdir().unwrap();
    let spilled = directory.path().join("made when it is needed");
    let mut sorter = Sorter::new(spill(&spilled), 8 << 20);
    // An odd factor visits every number once.
    for n in 0..1_000_000u64 {
        let number = n * 7_654_321 % 1_000_000;
        sorter
            .push(item(format!("file-{number:07}").as_bytes(), number))
            .await
            .unwrap();
        assert!(sorter.used <= 4 << 20);
    }
    let mut entries = sorter.finish().await.unwrap();
    for number in 0..1_000_000u64 {
        let found = entries.next().await.unwrap().unwrap();
        assert_eq!(found.node.unwrap().attributes.file_id, number);
    }
    assert!(entries.next().await.unwrap().is_none());
    assert_eq!(entries.duplicates(), 0);
    assert_eq!(std::fs::read_dir(&spilled).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_order_is_that_of_a_plain_sort(
        names in proptest::collection::vec(proptest::collection::vec(97u8..103, 1..5), 0..400),
        memory in prop_oneof![Just(0usize), Just(4096), Just(1 << 20)],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let items = names.iter().map(|name| item(name, 0)).collect();
        // No memory at all: a run per entry, merged in several passes.
        let (found, duplicates) = runtime.block_on(sort(items, directory.path(), memory));
        let found: Vec<_> = found.into_iter().map(|item| item.name.to_vec()).collect();
        let count = names.len() as u64;
        let mut wanted = names;
        wanted.sort();
        wanted.dedup();
        prop_assert_eq!(duplicates, count - wanted.len() as u64);
        prop_assert_eq!(found, wanted);
    }
}
