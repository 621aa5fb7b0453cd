//! Items of which the listing and the catalog say that they are as they were: they take no lane, and
//! many share a record of the journal.

use datasync_endpoint::{Destination, Key, Source};
use datasync_model::Counters;
use futures::FutureExt;
use tokio::task::yield_now;

use super::merging::merge_error;
use super::scanning::Scan;
use super::{Ended, Engine};
use crate::journal::Record;
use crate::merge::Merge;

/// Items that share a record, at most: so many are looked at again after a crash.
const TOGETHER: u64 = 1024;
/// Steps of the merge that are taken before items that ended are looked at.
const AT_HAND_MAX: usize = 256;

/// Items in a row that are as they were, of which the journal does not know yet.
#[derive(Debug, Default)]
pub(super) struct Passed {
    last: Option<Key>,
    items: u64,
    directories: u64,
}

impl Passed {
    fn note(&mut self, key: Key) {
        self.items += 1;
        self.directories += u64::from(key.is_directory());
        self.last = Some(key);
    }

    /// The record of all of them, if there are any.
    fn take(&mut self) -> Option<(Key, Counters)> {
        let Self {
            last,
            items,
            directories,
        } = std::mem::take(self);
        let count = |number| Counters {
            discovered: number,
            unchanged: number,
            ..Counters::default()
        };
        let mut add = count(items - directories);
        add.add(&count(directories).of_directories());
        Some((last?, add))
    }
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Takes the steps of the merge that need not be waited for. Once there are none, the journal
    /// knows of all that passed.
    pub(super) async fn take_at_hand(
        &mut self,
        merge: &mut Merge,
        scan: &mut Scan,
    ) -> Result<(), Ended> {
        for _ in 0..AT_HAND_MAX {
            if scan.merge_ended || !scan.lanes.has_room() {
                return Ok(());
            }
            match merge.next().now_or_never() {
                Some(step) => self.take(step.map_err(merge_error)?, scan).await?,
                None => return self.settle_passed(scan).await,
            }
        }
        Ok(())
    }

    /// Counts an item that is as it was.
    pub(super) async fn pass(&mut self, key: Key, scan: &mut Scan) -> Result<(), Ended> {
        scan.passed.note(key);
        if scan.passed.items >= TOGETHER {
            self.settle_passed(scan).await?;
            yield_now().await;
        }
        Ok(())
    }

    /// Makes known what passed, before anything that comes after it.
    pub(super) async fn settle_passed(&self, scan: &mut Scan) -> Result<(), Ended> {
        let Some((key, add)) = scan.passed.take() else {
            return Ok(());
        };
        self.progress.finish(&add);
        let passed = Record::Passed {
            key: key.clone(),
            add,
        };
        self.journal.append(passed).await?;
        Ok(scan.kept.pass(Some(&key)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_is_counted_by_kind_and_once() {
        let mut passed = Passed::default();
        assert_eq!(passed.take(), None);
        for text in ["a/", "a/1", "a/2"] {
            passed.note(Key::from_listing(text.to_owned()));
        }
        let (key, add) = passed.take().unwrap();
        assert_eq!(key.as_str(), "a/2");
        assert_eq!((add.discovered, add.unchanged), (3, 3));
        assert_eq!(add.directories_discovered, 1);
        assert_eq!(passed.take(), None);
    }
}
