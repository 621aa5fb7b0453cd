//! How an execution goes: rate, time left and bottleneck, from looks at it. Time is passed in.

use std::collections::VecDeque;
use std::time::Duration;

use datasync_model::{Bottleneck, TimeLeft};

use crate::bottleneck::{Spared, Stretch, bottleneck};
use crate::estimate::{Amount, Estimator, Look};
use crate::journal::Stage;
use crate::progress::Standing;
use crate::waits::Sums;

/// How far back the present rate and bottleneck look.
const RECENT: Duration = Duration::from_secs(10);
/// No bottleneck is named for less.
const RECENT_MIN: Duration = Duration::from_secs(1);

/// An execution at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    /// Since the process took the execution up.
    pub(crate) at: Duration,
    pub(crate) progress: Standing,
    pub(crate) waits: Sums,
    /// CPU time of the process.
    pub(crate) cpu: Duration,
    pub(crate) spared: Spared,
}

impl Sight {
    /// Bytes that are with the store, without those that this run of the process only found there.
    fn moved_bytes(&self) -> u64 {
        let written = self.progress.counters.bytes_written;
        written.saturating_sub(self.progress.recovered_bytes)
    }
}

/// What the looks so far tell.
#[derive(Debug)]
pub(crate) struct Outlook {
    /// Entries of the source at the end of the last execution; `None` if nobody knows.
    expected: Option<u64>,
    cpus: u32,
    recent: VecDeque<Sight>,
    estimator: Estimator,
    stage: Option<Stage>,
}

/// What is told of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) bytes_per_second: u64,
    pub(crate) items_per_second: u64,
    pub(crate) time_left: Option<TimeLeft>,
    pub(crate) bottleneck: Option<Bottleneck>,
}

impl Outlook {
    pub(crate) fn new(expected: Option<u64>, cpus: u32) -> Self {
        Self {
            expected,
            cpus,
            recent: VecDeque::new(),
            estimator: Estimator::default(),
            stage: None,
        }
    }

    /// Takes in a look, and tells what is known with it.
    pub(crate) fn look(&mut self, now: Sight) -> Told {
        // Verifying goes at a pace of its own.
        let stage = now.progress.stage;
        if self.stage.is_some_and(|before| before != stage) {
            self.estimator = Estimator::default();
            self.recent.clear();
        }
        self.stage = Some(stage);
        let look = self.as_look(&now);
        self.estimator.look(look);
        // The oldest that is kept is at least as old as the stretch.
        while self
            .recent
            .get(1)
            .is_some_and(|next| next.at + RECENT <= now.at)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let mut told = Told {
            time_left: self.estimator.time_left(look),
            ..Told::default()
        };
        if let Some(from) = self.recent.front() {
            told.recent(from, &now, self.cpus);
        }
        told
    }

    fn as_look(&self, now: &Sight) -> Look {
        let Standing {
            stage,
            is_scanned,
            finished,
            counters,
            recovered_bytes,
        } = &now.progress;
        if *stage == Stage::Verify {
            let done = counters.verified + counters.mismatched;
            let known = counters.discovered.max(done);
            return Look {
                at: now.at,
                items: Amount { done, known },
                is_scanned: true,
                ..Look::default()
            };
        }
        let done = counters.bytes_written.min(counters.bytes_to_transfer);
        Look {
            at: now.at,
            items: Amount {
                done: finished.to_transfer,
                known: counters.to_transfer,
            },
            bytes: Amount {
                done: done.saturating_sub(*recovered_bytes),
                known: counters.bytes_to_transfer.saturating_sub(*recovered_bytes),
            },
            met: counters.discovered + counters.to_transfer - finished.to_transfer,
            is_scanned: *is_scanned,
            expected: self.expected,
        }
    }
}

impl Told {
    fn recent(&mut self, from: &Sight, now: &Sight, cpus: u32) {
        let time = now.at.saturating_sub(from.at);
        let per_second = |before: u64, after: u64| {
            let gained = u128::from(after.saturating_sub(before)) * 1000;
            u64::try_from(gained / time.as_millis().max(1)).unwrap_or(u64::MAX)
        };
        let items = |sight: &Sight| {
            let counters = &sight.progress.counters;
            match sight.progress.stage {
                Stage::Verify => counters.verified + counters.mismatched,
                Stage::Scan | Stage::Link | Stage::Delete => counters.discovered,
            }
        };
        self.bytes_per_second = per_second(from.moved_bytes(), now.moved_bytes());
        self.items_per_second = per_second(items(from), items(now));
        if time >= RECENT_MIN {
            self.bottleneck = bottleneck(&Stretch {
                time,
                waits: now.waits.since(&from.waits),
                cpu: now.cpu.saturating_sub(from.cpu),
                cpus,
                spared: now.spared,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::Counters;

    use super::*;

    fn sight(seconds: u64, written: u64) -> Sight {
        Sight {
            spared: Spared::default(),
            at: Duration::from_secs(seconds),
            progress: Standing {
                stage: Stage::Scan,
                is_scanned: true,
                finished: Counters::default(),
                counters: Counters {
                    bytes_written: written,
                    to_transfer: 1,
                    bytes_to_transfer: 10_000,
                    ..Counters::default()
                },
                recovered_bytes: 0,
            },
            waits: Sums::default(),
            cpu: Duration::ZERO,
        }
    }

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let mut outlook = Outlook::new(None, 1);
        let mut written = 0;
        for second in 0..60 {
            written += if second < 40 { 100 } else { 10 };
            let told = outlook.look(sight(second, written));
            let expected = match second {
                0 => continue,
                1..40 => 100..=100,
                50.. => 10..=10,
                _ => 10..=100,
            };
            assert!(
                expected.contains(&told.bytes_per_second),
                "{second}: {told:?}"
            );
        }
    }

    #[test]
    fn what_was_done_before_the_process_took_it_up_makes_no_rate() {
        let mut outlook = Outlook::new(None, 1);
        outlook.look(sight(0, 9_000));
        let told = outlook.look(sight(10, 9_100));
        assert_eq!(told.bytes_per_second, 10);
        let left = told.time_left.unwrap();
        assert_eq!(left.likely_ms, 90_000);
        assert!(
            left.low_ms < 90_000 && left.high_ms.unwrap() > 90_000,
            "{left:?}"
        );
    }

    #[test]
    fn what_an_earlier_run_had_sent_makes_no_rate_either() {
        let mut outlook = Outlook::new(None, 1);
        outlook.look(sight(0, 0));
        let mut now = sight(10, 9_100);
        now.progress.recovered_bytes = 9_000;
        let told = outlook.look(now);
        assert_eq!(told.bytes_per_second, 10);
        assert_eq!(told.time_left.unwrap().likely_ms, 90_000);
    }

    #[test]
    fn verifying_is_an_estimate_of_its_own() {
        let mut outlook = Outlook::new(None, 1);
        outlook.look(sight(0, 0));
        outlook.look(sight(10, 10_000));
        let verifying = |seconds, verified| {
            let mut now = sight(seconds, 10_000);
            now.progress.stage = Stage::Verify;
            now.progress.counters.discovered = 100;
            now.progress.counters.verified = verified;
            now
        };
        outlook.look(verifying(11, 0));
        let told = outlook.look(verifying(21, 20));
        assert_eq!((told.items_per_second, told.bytes_per_second), (2, 0));
        assert_eq!(told.time_left.unwrap().likely_ms, 40_000);
    }
}
