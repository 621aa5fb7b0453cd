//! Replies that are cut, end early, or have another word in them, to each call that an item makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datasync_endpoint::EndpointError;
use datasync_model::NfsVersion;

use super::changes::{Change, Trial};
use super::victim::Writer;
use crate::memory::memory_peak;
use crate::server::{Act, record};

const MEMORY_MAX: u64 = 512 << 20;
/// Mark, xid, and what says that it is a reply.
const HEAD: usize = 12;

/// What is done to the reply to one call at a place of it, and whether an item may end so.
struct Sweep {
    version: NfsVersion,
    /// Bytes from place to place.
    step: usize,
    spoil: fn(Vec<u8>, usize) -> Act,
    is_sound: fn(&Writer, &Trial, Result<(), EndpointError>) -> bool,
}

impl Sweep {
    async fn run(&self) {
        let before = memory_peak();
        let writer = Writer::open(self.version).await;
        for change in Change::ALL {
            let mut calls = 0;
            while self.call(&writer, change, calls).await {
                calls += 1;
            }
            assert!(calls >= 2, "{change:?}: {calls} calls");
        }
        writer.assert_recovered().await;
        assert!(memory_peak() < before + MEMORY_MAX);
    }

    /// Spoils the reply to the call of this number at every place in turn; gives whether there was one.
    async fn call(&self, writer: &Writer, change: Change, number: usize) -> bool {
        // Each call begins at another place.
        let mut place = number % self.step / 4 * 4;
        loop {
            let trial = writer.prepare(change).await;
            let length = self.spoil(writer, number, place);
            let ended = trial.run(&writer.destination).await;
            writer.server.be_honest();
            let length = length.load(Ordering::Relaxed);
            if length == 0 {
                ended.unwrap();
                return false;
            }
            let said = format!("{change:?}, call {number}, byte {place}: {ended:?}");
            assert!((self.is_sound)(writer, &trial, ended), "{said}");
            place += self.step;
            if place >= length {
                return true;
            }
        }
    }

    /// Gives the length of the record that was spoilt; 0 as long as there was none.
    fn spoil(&self, writer: &Writer, number: usize, place: usize) -> Arc<AtomicUsize> {
        let (calls, length) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let (spoilt, spoil) = (Arc::clone(&length), self.spoil);
        writer.server.spoil(move |_, record| {
            if calls.fetch_add(1, Ordering::Relaxed) != number {
                return Act::send(record);
            }
            spoilt.store(record.len(), Ordering::Relaxed);
            spoil(record, place)
        });
        length
    }
}

/// What ends well is on stable storage.
fn is_proven(writer: &Writer, trial: &Trial, ended: Result<(), EndpointError>) -> bool {
    ended.is_err() || trial.is_kept(&writer.server.disk())
}

async fn cut(version: NfsVersion) {
    let sweep = Sweep {
        version,
        step: 44,
        spoil: |mut record, place| {
            record.truncate(place + place % 3);
            Act::send_and_close(record)
        },
        is_sound: is_proven,
    };
    sweep.run().await;
}

async fn end_early(version: NfsVersion) {
    let sweep = Sweep {
        version,
        step: 36,
        spoil: |whole, place| {
            let body = &whole[4..];
            Act::send(record(&body[..place.min(body.len())]))
        },
        is_sound: is_proven,
    };
    sweep.run().await;
}

async fn say_something_else(version: NfsVersion) {
    let sweep = Sweep {
        version,
        step: 28,
        spoil: |mut record, place| {
            const VALUES: [u32; 7] = [0, 1, 2, 3, 0x0100_0000, 0x7fff_ffff, u32::MAX];
            // All of them in turn, and those behind a place that is none are whole.
            let value = VALUES[(place / 4 + record.len()) % VALUES.len()];
            if let Some(word) = record.get_mut(HEAD + place..HEAD + place + 4) {
                word.copy_from_slice(&value.to_be_bytes());
            }
            Act::send(record)
        },
        // The server may say that there is nothing to delete, or that it has kept what it has not.
        is_sound: |writer, trial, ended| {
            let disk = writer.server.disk();
            ended.is_err() || trial.change == Change::Delete || trial.is_seen(&disk)
        },
    };
    sweep.run().await;
}

#[tokio::test]
async fn what_is_cut_is_no_success_by_version_3() {
    cut(NfsVersion::Nfs3).await;
    end_early(NfsVersion::Nfs3).await;
}

#[tokio::test]
async fn what_is_cut_is_no_success_by_version_4_0() {
    cut(NfsVersion::Nfs4_0).await;
    end_early(NfsVersion::Nfs4_0).await;
}

#[tokio::test]
async fn what_is_cut_is_no_success_by_version_4_1() {
    cut(NfsVersion::Nfs4_1).await;
    end_early(NfsVersion::Nfs4_1).await;
}

#[tokio::test]
async fn what_is_cut_is_no_success_by_version_4_2() {
    cut(NfsVersion::Nfs4_2).await;
    end_early(NfsVersion::Nfs4_2).await;
}

#[tokio::test]
async fn no_word_of_an_answer_does_harm_by_version_3() {
    say_something_else(NfsVersion::Nfs3).await;
}

#[tokio::test]
async fn no_word_of_an_answer_does_harm_by_version_4_0() {
    say_something_else(NfsVersion::Nfs4_0).await;
}

#[tokio::test]
async fn no_word_of_an_answer_does_harm_by_version_4_1() {
    say_something_else(NfsVersion::Nfs4_1).await;
}

#[tokio::test]
async fn no_word_of_an_answer_does_harm_by_version_4_2() {
    say_something_else(NfsVersion::Nfs4_2).await;
}
