use std::collections::BTreeMap;
use std::time::Duration;

use datasync_endpoint::{Crc64, Fingerprint, ListedObject, PosixMetadata, Receipt, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

use super::codec::{Previous, Record};
use super::entry::Window;
use super::*;

const PAIR: &str = "this pair";

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: 0,
    }
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![any::<i64>(), Just(0), 1_700_000_000i64..1_700_000_100];
    let nanoseconds = prop_oneof![Just(0), 0u32..1_000_000_000];
    (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| Timestamp {
        seconds,
        nanoseconds,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let source = (
        any::<u64>(),
        timestamp(),
        timestamp(),
        any::<u64>(),
        any::<bool>(),
    );
    let source = source.prop_map(|(size, mtime, ctime, file_id, same)| Fingerprint {
        size,
        mtime,
        ctime: if same { mtime } else { ctime },
        file_id,
    });
    let owner = prop_oneof![Just(None), Just(Some(1000)), any::<Option<u32>>()];
    let metadata = (
        owner.clone(),
        owner,
        any::<Option<u32>>(),
        prop_oneof![Just(None), timestamp().prop_map(Some)],
        any::<bool>(),
    );
    let window = (timestamp(), timestamp(), any::<bool>());
    let class = proptest::option::of("[A-Z_]{0,12}");
    (
        source,
        metadata,
        any::<Option<u64>>(),
        any::<u64>(),
        window,
        class,
        any::<Option<(u64, bool)>>(),
    )
        .prop_map(|(source, metadata, size, etag, window, class, crc64)| {
            let (owner, group, permissions, mtime, same) = metadata;
            Entry {
                source,
                size: size.unwrap_or(source.size),
                etag,
                written: Window {
                    earliest: window.0,
                    latest: if window.2 { window.0 } else { window.1 },
                },
                storage_class: class,
                metadata: PosixMetadata {
                    owner,
                    group,
                    permissions,
                    mtime: if same { Some(source.mtime) } else { mtime },
                    atime: None,
                    device: None,
                },
                crc64: crc64.map(|(crc64, _)| Crc64(crc64)),
                is_proven: crc64.is_some_and(|(_, is_proven)| is_proven),
            }
        })
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof!["[ab/é\u{10f7ff}]{0,6}", "\\PC{0,12}"].prop_map(Key::from_listing)
}

fn records(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Record>> {
    proptest::collection::vec((key(), proptest::option::weighted(0.9, entry())), count)
}

fn sorted(records: Vec<Record>) -> Vec<Record> {
    let map: BTreeMap<_, _> = records.into_iter().collect();
    map.into_iter().collect()
}

fn blocking<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

async fn write(path: &Path, records: &[Record], flush_every: usize) {
    drop(std::fs::remove_file(path));
    let mut writer = Writer::create(path.to_owned(), PAIR).await.unwrap();
    for (number, (key, entry)) in records.iter().enumerate() {
        writer.push(key, entry.as_ref()).await.unwrap();
        if number % flush_every == flush_every - 1 {
            writer.flush().await.unwrap();
        }
    }
    writer.finish().await.unwrap();
}

/// What can be read, and how that ended.
async fn read(path: &Path, form: Form) -> (Vec<Record>, Result<(), String>) {
    let mut found = Vec::new();
    let mut reader = match Reader::open(path, PAIR, form).await {
        Ok(Some(reader)) => reader,
        Ok(None) => return (found, Err("absent".to_owned())),
        Err(error) => return (found, Err(error.to_string())),
    };
    loop {
        match reader.next().await {
            Ok(Some(record)) => found.push(record),
            Ok(None) => return (found, Ok(())),
            Err(error) => return (found, Err(error.to_string())),
        }
    }
}

proptest! {
    #[test]
    fn records_survive_the_codec_in_any_order(records in records(0..20)) {
        let mut bytes = Vec::new();
        let mut previous = Previous::default();
        for (key, entry) in &records {
            previous.encode(key, entry.as_ref(), &mut bytes);
        }
        let mut rest = &bytes[..];
        let mut previous = Previous::default();
        for record in &records {
            prop_assert_eq!(previous.decode(&mut rest), Some(record.clone()));
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn nonsense_is_never_a_panic(bytes: Vec<u8>) {
        let mut rest = &bytes[..];
        let mut previous = Previous::default();
        while previous.decode(&mut rest).is_some() {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_anywhere_never_gives_a_wrong_record(
        records in records(1..40), flush in 1usize..8, place: Index, bit in 0u8..8,
    ) {
        let records = sorted(records);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog");
        blocking(async {
            write(&path, &records, flush).await;
            prop_assert_eq!(read(&path, Form::Sorted).await, (records.clone(), Ok(())));
            let whole = std::fs::read(&path).unwrap();
            let place = place.index(whole.len());
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << bit;
            for damaged in [&flipped[..], &whole[..place]] {
                std::fs::write(&path, damaged).unwrap();
                let (found, end) = read(&path, Form::Sorted).await;
                prop_assert!(end.is_err(), "damage at {} was not seen", place);
                prop_assert_eq!(&found[..], &records[..found.len()]);
                let (found, _) = read(&path, Form::Log).await;
                prop_assert_eq!(&found[..], &records[..found.len()]);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_fold_keeps_the_last_word_on_each_key(
        present in records(0..60), logs in proptest::collection::vec(records(0..60), 0..4),
        memory in prop_oneof![Just(0usize), Just(4096), Just(1 << 20)],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pair.catalog");
        let mut model: BTreeMap<_, _> = present.into_iter().collect();
        model.retain(|_, entry| entry.is_some());
        blocking(async {
            write(&file, &model.clone().into_iter().collect::<Vec<_>>(), 7).await;
            let mut paths = Vec::new();
            for (number, records) in logs.iter().enumerate() {
                let path = directory.path().join(format!("log-{number}"));
                write(&path, records, 3).await;
                paths.push(path);
                model.extend(records.iter().cloned());
            }
            let fold = Fold { directory: directory.path(), identity: PAIR, memory_bytes: memory };
            let learned = logs.iter().any(|records| !records.is_empty());
            model.retain(|_, entry| entry.is_some());
            let count = fold.adopt(&paths, &file).await.unwrap();
            prop_assert_eq!(count, learned.then_some(model.len() as u64));
            let wanted: Vec<_> = model.into_iter().collect();
            prop_assert_eq!(read(&file, Form::Sorted).await, (wanted, Ok(())));
            Ok(())
        })?;
    }
}

proptest! {
    #[test]
    fn what_is_noted_in_order_or_not_is_in_the_next_catalog(
        present in records(0..30), noted in records(0..60), in_order: bool,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pair.catalog");
        let mut model: BTreeMap<_, _> = present.into_iter().collect();
        model.retain(|_, entry| entry.is_some());
        let noted = if in_order { sorted(noted) } else { noted };
        blocking(async {
            write(&file, &model.clone().into_iter().collect::<Vec<_>>(), 7).await;
            let mut catalog = Catalog {
                file: file.clone(),
                directory: directory.path().to_owned(),
                identity: PAIR.to_owned(),
                log: Log::Unopened,
                disk: Disk::unbounded(),
            };
            for (key, entry) in &noted {
                catalog.note(key, entry.as_ref()).await;
            }
            catalog.adopt(1 << 20).await;
            model.extend(noted);
            model.retain(|_, entry| entry.is_some());
            let wanted: Vec<_> = model.into_iter().collect();
            prop_assert_eq!(read(&file, Form::Sorted).await, (wanted, Ok(())));
            prop_assert!(!directory.path().join("catalog-log-0").exists());
            Ok(())
        })?;
    }
}

fn some_entry(number: u64) -> Entry {
    let time = |factor: u64| Timestamp {
        seconds: 1_700_000_000 + i64::try_from(number * factor % 90_000_000).unwrap(),
        nanoseconds: u32::try_from(number * factor % 1_000_000_000).unwrap(),
    };
    let mtime = time(7_654_321);
    Entry {
        source: Fingerprint {
            size: number * 7_919 % 5_000_000,
            mtime,
            // Half of them were moved or got another mode later.
            ctime: if number.is_multiple_of(2) {
                mtime
            } else {
                time(1_234_567)
            },
            file_id: 90_000_000 + number * 37 % 100_000,
        },
        size: number * 7_919 % 5_000_000,
        etag: Crc64::of(&number.to_le_bytes()).0,
        written: Window::exact(at(1_760_000_000 + i64::try_from(number / 300).unwrap())),
        storage_class: Some("STANDARD".to_owned()),
        metadata: PosixMetadata {
            owner: Some(1000),
            group: Some(1000),
            permissions: Some(0o100_644),
            mtime: Some(mtime),
            atime: None,
            device: None,
        },
        crc64: Some(Crc64::of(&number.to_be_bytes())),
        is_proven: true,
    }
}

#[tokio::test]
async fn an_entry_takes_at_most_64_bytes() {
    const COUNT: u64 = 100_000;
    let directory = tempfile::tempdir().unwrap();
    let spread = |number: u64| Crc64::of(&number.to_le_bytes()).0;
    let photos = (0..COUNT).map(|n| format!("photos/{:03}/IMG_20250101_{n:07}", n / 500));
    let hashes = (0..COUNT).map(|n| format!("objects/{:016x}.bin", spread(n)));
    for names in [photos.collect::<Vec<_>>(), hashes.collect()] {
        assert!(
            names
                .iter()
                .all(|name| name.rsplit('/').next().unwrap().len() == 20)
        );
        let mut names: Vec<_> = names.into_iter().map(Key::from_listing).collect();
        names.sort();
        let entries = (0..).map(some_entry).map(Some);
        let records: Vec<_> = names.into_iter().zip(entries).collect();
        let path = directory.path().join("catalog");
        write(&path, &records, usize::MAX).await;
        let bytes = std::fs::metadata(&path).unwrap().len();
        assert!(bytes <= 64 * COUNT, "{} bytes for each", bytes / COUNT);
        assert!(read(&path, Form::Sorted).await == (records, Ok(())));
    }
}

#[tokio::test]
async fn what_is_damaged_counts_as_absent_from_there_on_and_a_fold_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let (file, log) = (directory.path().join("c"), directory.path().join("l"));
    let record = |n: u64| (Key::from_listing(format!("{n:04}")), Some(some_entry(n)));
    let present: Vec<_> = (0..1_000).map(record).collect();
    write(&file, &present, 10).await;
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (readable, end) = read(&file, Form::Sorted).await;
    assert!(end.unwrap_err().contains("a checksum is wrong"));
    assert!((400..600).contains(&readable.len()), "{}", readable.len());
    let learned = record(2_000);
    write(&log, std::slice::from_ref(&learned), 1).await;
    let fold = Fold {
        directory: directory.path(),
        identity: PAIR,
        memory_bytes: 1 << 20,
    };
    fold.adopt(&[log], &file).await.unwrap();
    let wanted = [readable, vec![learned]].concat();
    assert_eq!(read(&file, Form::Sorted).await, (wanted, Ok(())));
}

#[tokio::test]
async fn a_catalog_of_another_pair_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c");
    write(&path, &[], 1).await;
    let foreign = Reader::open(&path, "another pair", Form::Sorted).await;
    assert!(foreign.unwrap_err().to_string().contains("another pair"));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_leaves_the_catalog_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c");
    let present = [(Key::from_listing("a".to_owned()), Some(some_entry(1)))];
    write(&file, &present, 1).await;
    let mut catalog = Catalog {
        file: file.clone(),
        directory: PathBuf::from("/dev/null"),
        identity: PAIR.to_owned(),
        log: Log::Unopened,
        disk: Disk::unbounded(),
    };
    catalog.note(&present[0].0, None).await;
    catalog.note(&present[0].0, None).await;
    catalog.adopt(0).await;
    assert_eq!(read(&file, Form::Sorted).await, (present.to_vec(), Ok(())));
}

#[tokio::test]
async fn the_stream_gives_each_key_once_and_only_those_behind_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c");
    let key = |text: &str| Key::from_listing(text.to_owned());
    let records: Vec<_> = ["a", "b", "c", "d", "e"]
        .into_iter()
        .zip(0..)
        .map(|(text, number)| (key(text), Some(some_entry(number))))
        .collect();
    write(&file, &records, 2).await;
    let catalog = Catalog {
        file,
        directory: directory.path().to_owned(),
        identity: PAIR.to_owned(),
        log: Log::Unopened,
        disk: Disk::unbounded(),
    };
    let mut stream = catalog.read(Some(key("a"))).await;
    assert_eq!(stream.pass(Some(&key("c"))).await, Some(key("b")));
    assert_eq!(stream.pass(Some(&key("c"))).await, None);
    assert_eq!(stream.take(&key("bb")).await, None);
    assert_eq!(stream.take(&key("c")).await, Some(some_entry(2)));
    assert_eq!(stream.take(&key("c")).await, None);
    assert_eq!(stream.pass(None).await, Some(key("d")));
    assert_eq!(stream.pass(None).await, Some(key("e")));
    assert_eq!(stream.pass(None).await, None);
}

#[test]
fn a_write_is_recognised_by_the_stores_own_clock() {
    let listed = |seconds| ListedObject {
        key: Key::default(),
        size: 3,
        etag: "\"e\"".to_owned(),
        last_modified: at(seconds),
        storage_class: Some("STANDARD".to_owned()),
    };
    let receipt = |date| Receipt {
        etag: "\"e\"".to_owned(),
        version_id: None,
        vouched: true,
        checksum: None,
        date,
    };
    let source = recall::tests::file();
    let metadata = PosixMetadata::default();
    let took = Duration::from_millis(90_500);
    let written = |date| Entry::written(&source, &metadata, (3, None), &receipt(date), took);
    assert_eq!(written(None), None);
    let entry = written(Some(at(1_000))).unwrap();
    for (seconds, agrees) in [
        (907, false),
        (908, true),
        (1_000, true),
        (1_001, true),
        (1_002, false),
    ] {
        assert_eq!(entry.agrees_with(&listed(seconds)), agrees, "{seconds}");
    }
    let confirmed = entry.confirmed(&source, &listed(999));
    assert!(confirmed.agrees_with(&listed(999)));
    assert!(!confirmed.agrees_with(&listed(1_000)));
    let other_class = ListedObject {
        storage_class: Some("GLACIER".to_owned()),
        ..listed(999)
    };
    assert!(
        entry.agrees_with(&other_class),
        "the class was not listed yet"
    );
    assert!(!confirmed.agrees_with(&other_class));
}

#[tokio::test]
async fn the_end_of_a_catalog_tells_its_entries() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c");
    assert_eq!(Catalog::entries(&path).await, None);
    let record = |n: u64| (Key::from_listing(format!("{n:04}")), Some(some_entry(n)));
    let records: Vec<_> = (0..1_000).map(record).collect();
    write(&path, &records, 1_000).await;
    assert_eq!(Catalog::entries(&path).await, Some(1_000));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(Catalog::entries(&path).await, None);
}
