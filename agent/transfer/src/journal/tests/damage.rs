//! What a power cut and a bad disk may make of the journal's file.

use super::*;
use crate::journal::writer::fold;

/// A record of every kind, and some more.
fn records() -> Vec<Record> {
    let failure = Failure::new(datasync_model::ErrorCode::DeletesWithheld, "why");
    let handed = |n, name: &str| Record::Handed {
        n,
        key: key(name),
        exists: n % 2 == 0,
    };
    let intent = Intent {
        at_seconds: 7,
        has_parts: false,
        ..Intent::default()
    };
    vec![
        handed(0, "a"),
        handed(1, "b"),
        Record::Final {
            n: 0,
            add: count(1),
        },
        Record::Unread {
            key: key("c/"),
            add: count(2),
        },
        Record::UploadIntent {
            key: key("b"),
            intent,
        },
        Record::UploadOpen {
            key: key("b"),
            upload: UploadId("u".to_owned()),
            begun: Some(Box::new(begun())),
        },
        part("b", 1),
        part("b", 2),
        Record::Elapsed {
            elapsed: Elapsed::default(),
        },
        Record::UploadClosed { key: key("b") },
        Record::Final {
            n: 1,
            add: count(1),
        },
        Record::Stage {
            stage: Stage::Delete,
        },
        Record::Withheld { failure },
        Record::Deleted {
            key: key("x"),
            add: count(3),
        },
    ]
}

/// A journal, where its records end, and the state after each.
struct Whole {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    states: Vec<State>,
}

fn whole() -> Whole {
    let mut state = State::default();
    let first = Record::Snapshot(Box::new(state.clone()));
    let (mut bytes, mut ends, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for record in std::iter::once(first).chain(records()) {
        write_frame(&serde_json::to_vec(&record).unwrap(), &mut bytes);
        state.apply(record);
        ends.push(bytes.len());
        states.push(state.clone());
    }
    Whole {
        bytes,
        ends,
        states,
    }
}

impl Whole {
    /// The state after the records that end at `end` or before; `None` before the first.
    fn state_at(&self, end: usize) -> Option<&State> {
        let count = self.ends.iter().filter(|at| **at <= end).count();
        self.states.get(count.checked_sub(1)?)
    }
}

#[test]
fn cut_anywhere_it_leads_to_the_state_of_its_whole_records() {
    let whole = whole();
    for cut in 1..=whole.bytes.len() {
        let found = fold(&whole.bytes[..cut]);
        assert_eq!(found.as_ref().ok(), whole.state_at(cut), "{cut}");
    }
}

#[test]
fn a_bit_that_flipped_costs_only_what_follows() {
    let mut whole = whole();
    for at in 0..whole.bytes.len() {
        for bit in 0..8 {
            whole.bytes[at] ^= 1 << bit;
            let found = fold(&whole.bytes);
            assert_eq!(found.as_ref().ok(), whole.state_at(at), "bit {bit} of {at}");
            whole.bytes[at] ^= 1 << bit;
        }
    }
}

/// A file may have got its new length, and not its new content.
#[test]
fn a_tail_of_zeros_or_of_something_else_counts_as_lost() {
    let whole = whole();
    let zeros: &[u8] = &[0; 4096];
    let ones: &[u8] = &[0xff; 4096];
    for cut in whole.ends[0]..=whole.bytes.len() {
        for garbage in [zeros, ones, b"{\"g\":{\"stage\":\"Verify\"}}", &whole.bytes] {
            let torn = [&whole.bytes[..cut], garbage].concat();
            let found = fold(&torn).unwrap();
            // Behind a whole record, a whole journal is one: its snapshot is the beginning again.
            let may_be = [whole.state_at(cut), whole.states.last()];
            assert!(may_be.contains(&Some(&found)), "{cut}");
        }
        let torn = [&whole.bytes[..cut], zeros].concat();
        assert_eq!(fold(&torn).as_ref().ok(), whole.state_at(cut), "{cut}");
    }
}

#[tokio::test]
async fn a_successor_that_never_got_its_name_is_ignored() {
    let directory = TempDir::new().unwrap();
    let next = directory.path().join("journal.next");
    let whole = whole();
    std::fs::write(&next, &whole.bytes).unwrap();
    assert_eq!(reopened(directory.path()).await, State::default());
    let before = written(directory.path(), &records()[..3]).await;
    for cut in [0, 5, whole.bytes.len()] {
        std::fs::write(&next, &whole.bytes[..cut]).unwrap();
        assert_eq!(reopened(directory.path()).await, before);
    }
}
