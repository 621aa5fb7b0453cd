//! Lines as PutLogEvents takes them (API reference: "PutLogEvents"). Pure.

use datasync_model::LogLine;
use serde_json::{Value, json};

/// Bytes of one call, each event counting [`EVENT_OVERHEAD`] more than its message.
const BATCH_BYTES_MAX: usize = 1_048_576;
const EVENT_OVERHEAD: usize = 26;
const BATCH_EVENTS_MAX: usize = 10_000;
/// Between the first and the last event of one call.
const SPAN_MAX_MS: i64 = 24 * 60 * 60 * 1000;
/// Older ones are refused.
const AGE_MAX_MS: i64 = 14 * 24 * 60 * 60 * 1000;
/// Beyond it an event is refused as one of the future.
const AHEAD_MAX_MS: i64 = 2 * 60 * 60 * 1000;
/// What an event that is made now may be short of the bounds, until it arrives.
const MARGIN_MS: i64 = 10 * 60 * 1000;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogEvent {
    at_ms: i64,
    message: String,
}

impl LogEvent {
    pub(super) fn json(&self) -> Value {
        json!({"timestamp": self.at_ms, "message": self.message})
    }
}

/// Calls to be made one after the other, and how many lines no call would take at `now_ms`.
pub(super) fn batches(lines: &[LogLine], now_ms: i64) -> (Vec<Vec<LogEvent>>, usize) {
    let taken = now_ms - AGE_MAX_MS + MARGIN_MS..=now_ms + AHEAD_MAX_MS - MARGIN_MS;
    let mut events: Vec<LogEvent> = lines
        .iter()
        .filter(|line| taken.contains(&line.at_ms))
        .map(|line| LogEvent {
            at_ms: line.at_ms,
            message: line.to_string(),
        })
        .collect();
    let refused = lines.len() - events.len();
    // Those of one time stay in the order of the log.
    events.sort_by_key(|event| event.at_ms);
    let mut batches: Vec<Vec<LogEvent>> = Vec::new();
    let (mut bytes, mut begin_ms) = (0, 0);
    for event in events {
        let size = event.message.len() + EVENT_OVERHEAD;
        let fits = |batch: &&mut Vec<LogEvent>| {
            batch.len() < BATCH_EVENTS_MAX
                && bytes + size <= BATCH_BYTES_MAX
                && event.at_ms - begin_ms < SPAN_MAX_MS
        };
        match batches.last_mut().filter(fits) {
            Some(batch) => {
                bytes += size;
                batch.push(event);
            }
            None => {
                (bytes, begin_ms) = (size, event.at_ms);
                batches.push(vec![event]);
            }
        }
    }
    (batches, refused)
}

#[cfg(test)]
mod tests {
    use datasync_model::Severity;

    use super::*;

    const NOW_MS: i64 = 1_770_000_000_000;
    const HOUR_MS: i64 = 60 * 60 * 1000;

    fn line(at_ms: i64, text: &str) -> LogLine {
        LogLine {
            at_ms,
            severity: Severity::Info,
            text: text.to_owned(),
        }
    }

    fn sizes(lines: &[LogLine]) -> Vec<usize> {
        let (batches, _) = batches(lines, NOW_MS);
        batches.iter().map(Vec::len).collect()
    }

    #[test]
    fn events_are_in_the_order_of_time() {
        let lines = [line(NOW_MS, "b"), line(NOW_MS - 1, "a"), line(NOW_MS, "c")];
        let (batches, refused) = batches(&lines, NOW_MS);
        let messages: Vec<_> = batches[0]
            .iter()
            .map(|event| event.message.as_str())
            .collect();
        assert_eq!(
            (messages, refused),
            (vec!["[INFO] a", "[INFO] b", "[INFO] c"], 0)
        );
        assert_eq!(
            batches[0][0].json(),
            json!({"timestamp": NOW_MS - 1, "message": "[INFO] a"})
        );
    }

    #[test]
    fn a_call_has_at_most_a_mebibyte_and_ten_thousand_events() {
        assert_eq!(sizes(&vec![line(NOW_MS, "x"); 10_001]), [10_000, 1]);
        // "[INFO] " and 26 bytes besides.
        let long = line(NOW_MS, &"x".repeat(65_536 - 33));
        assert_eq!(sizes(&vec![long; 17]), [16, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }

    #[test]
    fn a_call_spans_less_than_a_day() {
        let at = |hour| line(NOW_MS - hour * HOUR_MS, "x");
        assert_eq!(sizes(&[at(25), at(2), at(1), at(0)]), [2, 2]);
    }

    #[test]
    fn what_would_be_refused_for_its_time_is_left_out() {
        let day = 24 * HOUR_MS;
        for (offset, taken) in [
            (-14 * day, 0),
            (-14 * day + HOUR_MS, 1),
            (2 * HOUR_MS, 0),
            (HOUR_MS, 1),
        ] {
            let (batches, refused) = batches(&[line(NOW_MS + offset, "x")], NOW_MS);
            assert_eq!((batches.len(), refused), (taken, 1 - taken), "{offset}");
        }
    }
}
