mod damage;

use std::collections::BTreeMap;

use datasync_endpoint::{
    Algorithm, Checksum, Crc64, Fingerprint, ObjectHeader, PartReceipt, PosixMetadata, Timestamp,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::state::Pending;
use super::*;

fn key(text: &str) -> Key {
    Key::from_listing(text.to_owned())
}

fn begun() -> Begun {
    Begun {
        version: Fingerprint {
            size: 5 << 40,
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
            file_id: 1,
        },
        header: ObjectHeader {
            metadata: PosixMetadata::default(),
            storage_class: Some("GLACIER".to_owned()),
            only_if_absent: true,
            properties: None,
            extended: None,
        },
        part: 525 << 20,
    }
}

fn part(of: &str, number: u32) -> Record {
    proven_part(of, number, None)
}

fn proven_part(of: &str, number: u32, checksum: Option<Checksum>) -> Record {
    let receipt = PartReceipt {
        number,
        etag: format!("\"{number:032x}\""),
        crc64: Crc64(u64::MAX),
        checksum,
        length: 1,
    };
    Record::Part {
        key: key(of),
        number,
        mark: PartMark::of(&receipt).unwrap(),
    }
}

fn count(transferred: u64) -> Counters {
    Counters {
        transferred,
        ..Counters::default()
    }
}

fn nothing() -> File {
    File::from_std(tempfile::tempfile().unwrap())
}

async fn reopened(directory: &Path) -> State {
    let mut tasks = JoinSet::new();
    let (_, state) = Journal::open(directory, nothing(), &mut tasks)
        .await
        .unwrap();
    tasks.shutdown().await;
    state
}

/// Writes records and closes the journal in order.
async fn written(directory: &Path, records: &[Record]) -> State {
    let mut tasks = JoinSet::new();
    let (journal, mut state) = Journal::open(directory, nothing(), &mut tasks)
        .await
        .unwrap();
    for record in records {
        state.apply(record.clone());
        journal.append(record.clone()).await.unwrap();
    }
    drop(journal);
    tasks.join_all().await;
    state
}

#[tokio::test]
async fn what_was_written_is_read_again() {
    let directory = TempDir::new().unwrap();
    let records = [
        Record::Handed {
            n: 0,
            key: key("a"),
            exists: true,
        },
        Record::Handed {
            n: 1,
            key: key("b"),
            exists: false,
        },
        Record::Final {
            n: 0,
            add: count(1),
        },
        Record::UploadIntent {
            key: key("b"),
            intent: Intent {
                at_seconds: 7,
                has_parts: true,
                ..Intent::default()
            },
        },
        Record::UploadOpen {
            key: key("b"),
            upload: UploadId("u".to_owned()),
            begun: Some(Box::new(begun())),
        },
        part("b", 2),
        Record::Stage {
            stage: Stage::Delete,
        },
    ];
    let state = written(directory.path(), &records).await;
    assert_eq!(state.last_handed, Some(key("b")));
    let pending = Pending {
        key: key("b"),
        existed: false,
    };
    assert_eq!(state.pending.values().collect::<Vec<_>>(), [&pending]);
    assert_eq!((state.matched, state.counters), (1, count(1)));
    assert_eq!(
        state.uploads[&key("b")],
        Upload::Open(UploadId("u".to_owned()))
    );
    let filling = &state.fillings[&key("b")];
    assert_eq!(filling.begun, begun());
    assert_eq!(filling.parts.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(reopened(directory.path()).await, state);
}

/// What was begun last is all that is known of a key.
#[tokio::test]
async fn parts_of_an_upload_that_is_gone_or_given_up_are_forgotten() {
    let open = |begun: Option<Begun>| Record::UploadOpen {
        key: key("b"),
        upload: UploadId("u".to_owned()),
        begun: begun.map(Box::new),
    };
    let intent = Intent {
        at_seconds: 7,
        has_parts: false,
        ..Intent::default()
    };
    let ends = [
        Record::UploadClosed { key: key("b") },
        Record::UploadIntent {
            key: key("b"),
            intent,
        },
        open(None),
    ];
    for end in ends {
        let mut state = State::default();
        for record in [open(Some(begun())), part("b", 1), end, part("b", 2)] {
            state.apply(record);
        }
        assert_eq!(state.fillings, BTreeMap::new());
    }
}

#[test]
fn a_receipt_that_is_too_long_is_not_kept() {
    let receipt = |length| PartReceipt {
        number: 1,
        etag: "e".repeat(length),
        crc64: Crc64(1),
        checksum: None,
        length: 1,
    };
    assert_eq!(
        PartMark::of(&receipt(128)).unwrap().receipt(1, 1),
        receipt(128)
    );
    assert_eq!(PartMark::of(&receipt(129)), None);
    let checksum = Some(Checksum::of(Algorithm::Sha256, b"part"));
    let proven = PartReceipt {
        checksum,
        ..receipt(1)
    };
    let mark = serde_json::to_string(&PartMark::of(&proven).unwrap()).unwrap();
    let mark: PartMark = serde_json::from_str(&mark).unwrap();
    assert_eq!(mark.receipt(1, 1), proven);
}

/// The largest upload there is; half of what one may cost.
#[test]
fn a_snapshot_of_an_upload_is_bounded() {
    let mut state = State::default();
    state.apply(Record::UploadOpen {
        key: key("b"),
        upload: UploadId("u".to_owned()),
        begun: Some(Box::new(begun())),
    });
    let sha256 = Checksum::of(Algorithm::Sha256, b"part");
    for (checksum, most) in [(None, 1 << 20), (Some(sha256), 2 << 20)] {
        (1..=10_000).for_each(|number| state.apply(proven_part("b", number, checksum)));
        let snapshot = serde_json::to_vec(&Record::Snapshot(Box::new(state.clone()))).unwrap();
        assert!(snapshot.len() < most, "{} bytes", snapshot.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_handed_over_survives_the_process() {
    let directory = TempDir::new().unwrap();
    let mut tasks = JoinSet::new();
    let (journal, _) = Journal::open(directory.path(), nothing(), &mut tasks)
        .await
        .unwrap();
    let before = tokio::time::Instant::now();
    let record = Record::Stage {
        stage: Stage::Verify,
    };
    journal.hand_over(record).await.unwrap();
    assert_eq!(before.elapsed(), std::time::Duration::ZERO);
    drop((journal, tasks));
    let state = writer::replay(directory.path()).await.unwrap();
    assert_eq!(state.stage, Stage::Verify);
}

#[tokio::test]
async fn a_committed_record_is_in_the_file_at_once() {
    let directory = TempDir::new().unwrap();
    let mut tasks = JoinSet::new();
    let (journal, _) = Journal::open(directory.path(), nothing(), &mut tasks)
        .await
        .unwrap();
    journal
        .commit(Record::Stage {
            stage: Stage::Verify,
        })
        .await
        .unwrap();
    let state = writer::replay(directory.path()).await.unwrap();
    assert_eq!(state.stage, Stage::Verify);
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_refuses_work() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    let mut tasks = JoinSet::new();
    let error = Journal::open(&missing, nothing(), &mut tasks)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
}

#[tokio::test]
async fn an_item_counts_once_however_often_it_is_finished() {
    let mut state = State::default();
    state.apply(Record::Handed {
        n: 3,
        key: key("a"),
        exists: false,
    });
    for _ in 0..2 {
        state.apply(Record::Final {
            n: 3,
            add: count(1),
        });
    }
    assert_eq!((state.counters, state.next_number), (count(1), 4));
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (0u64..6, "[a-c]{1,3}", any::<bool>()).prop_map(|(n, k, exists)| Record::Handed {
            n,
            key: key(&k),
            exists
        }),
        (0u64..6, 0u64..3).prop_map(|(n, c)| Record::Final { n, add: count(c) }),
        ("[a-c]{1,3}", 0u64..3).prop_map(|(k, unchanged)| Record::Passed {
            key: key(&k),
            add: Counters {
                unchanged,
                ..Counters::default()
            }
        }),
        ("[a-c/]{1,3}", 0u64..3).prop_map(|(k, c)| Record::Unread {
            key: key(&k),
            add: count(c)
        }),
        "[a-c]{1,3}".prop_map(|k| Record::UploadClosed { key: key(&k) }),
        ("[a-c]{1,3}", any::<i64>(), any::<bool>()).prop_map(|(k, at_seconds, has_parts)| {
            let intent = Intent {
                at_seconds,
                has_parts,
                ..Intent::default()
            };
            Record::UploadIntent {
                key: key(&k),
                intent,
            }
        }),
        ("[a-c]{1,3}", 1u32..4).prop_map(|(k, number)| part(&k, number)),
        ("[a-c]{1,3}", any::<bool>()).prop_map(|(k, resumable)| Record::UploadOpen {
            key: key(&k),
            upload: UploadId(k),
            begun: resumable.then(|| Box::new(begun())),
        }),
        Just(Record::Stage {
            stage: Stage::Delete
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Cut anywhere, the file leads to the state after some number of whole records.
    #[test]
    fn every_prefix_is_a_state_to_resume_from(
        records in proptest::collection::vec(record(), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = TempDir::new().unwrap();
            written(directory.path(), &records).await;
            let file = directory.path().join("journal");
            let bytes = std::fs::read(&file).unwrap();
            // The first record is in the file before the file has its name.
            let first = read_frames(&bytes).next().unwrap().1;
            let end = first + cut.index(bytes.len() + 1 - first);
            std::fs::write(&file, &bytes[..end]).unwrap();
            let mut states = vec![State::default()];
            for record in &records {
                let mut next = states[states.len() - 1].clone();
                next.apply(record.clone());
                states.push(next);
            }
            let found = reopened(directory.path()).await;
            assert!(states.contains(&found), "{found:?}");
        });
    }
}

#[tokio::test]
async fn a_journal_without_its_beginning_is_refused() {
    let directory = TempDir::new().unwrap();
    written(
        directory.path(),
        &[Record::Stage {
            stage: Stage::Delete,
        }],
    )
    .await;
    let file = directory.path().join("journal");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = Journal::open(directory.path(), nothing(), &mut JoinSet::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn of_directories_that_cannot_be_read_only_those_around_the_present_key_are_kept() {
    let mut state = State::default();
    for outer in 0..100 {
        for inner in 0..100 {
            for text in [format!("{outer:02}/"), format!("{outer:02}/{inner:02}/")] {
                if state
                    .last_handed
                    .as_ref()
                    .is_none_or(|last| *last < key(&text))
                {
                    let (key, add) = (key(&text), count(0));
                    state.apply(Record::Unread { key, add });
                }
            }
            assert_eq!(state.unread.len(), 2, "{:?}", state.unread);
        }
    }
    let (key, add) = (key("99/99/a"), count(0));
    state.apply(Record::Passed { key, add });
    assert_eq!(state.unread.len(), 2);
}
