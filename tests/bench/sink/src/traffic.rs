//! Payload as it comes, whether or not its request ends well.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What has arrived, and how soon uploads went on after a mark.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    bytes: u64,
    body_bytes_max: u64,
    mark: Option<Mark>,
}

#[derive(Debug)]
struct Mark {
    at: Instant,
    uploads: BTreeSet<String>,
    resumed_after: Option<Duration>,
}

impl Traffic {
    /// Remembers the uploads that are open now.
    pub(crate) fn mark(&mut self, now: Instant, uploads: BTreeSet<String>) {
        self.mark = Some(Mark {
            at: now,
            uploads,
            resumed_after: None,
        });
    }

    /// The first bytes of a part.
    pub(crate) fn part_begins(&mut self, now: Instant, upload: &str) {
        if let Some(mark) = &mut self.mark
            && mark.uploads.contains(upload)
        {
            let after = now.duration_since(mark.at);
            mark.resumed_after.get_or_insert(after);
        }
    }

    /// A body ended, whole or cut off, after this many bytes.
    pub(crate) fn body_ended(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.body_bytes_max = self.body_bytes_max.max(bytes);
    }

    /// Bytes of all bodies that ended, also of those that were cut off.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the largest body.
    pub(crate) fn body_bytes_max(&self) -> u64 {
        self.body_bytes_max
    }

    /// How long after the mark the first bytes came of a part of an upload that was open then.
    pub(crate) fn resumed_after(&self) -> Option<Duration> {
        self.mark.as_ref()?.resumed_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_that_were_open_at_the_mark_go_on() {
        let mut traffic = Traffic::default();
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        traffic.part_begins(start, "old");
        assert_eq!(traffic.resumed_after(), None);
        traffic.mark(start, BTreeSet::from(["old".to_owned()]));
        traffic.part_begins(after(5), "new");
        assert_eq!(traffic.resumed_after(), None);
        traffic.part_begins(after(10), "old");
        traffic.part_begins(after(20), "old");
        assert_eq!(traffic.resumed_after(), Some(Duration::from_millis(10)));
    }

    #[test]
    fn bodies_that_were_cut_off_count_too() {
        let mut traffic = Traffic::default();
        for bytes in [5, 9, 7] {
            traffic.body_ended(bytes);
        }
        assert_eq!((traffic.bytes(), traffic.body_bytes_max()), (21, 9));
    }
}
