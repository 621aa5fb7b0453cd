//! Who tells a receiver, of events or of logs, where several controls share the rows: one, until it
//! falls silent.
//!
//! Whoever tells changes the receiver's row after each attempt. Nobody's clock is compared with
//! another's: what counts is how long one has seen the row unchanged while there was something to
//! tell.

use std::time::{Duration, Instant};

/// Longer than an attempt and the pause after it.
const SILENCE_MAX: Duration = Duration::from_secs(90);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Ours,
    /// Nobody tells, or the one that did is silent.
    Take,
    Wait,
}

/// What was last seen of another's row.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: Option<(i64, Instant)>,
}

impl Watch {
    /// Whose turn it is to tell what is there to tell. `row` are the holder and the version of the
    /// receiver's row.
    pub(crate) fn turn(&mut self, row: Option<(&str, i64)>, us: &str, now: Instant) -> Turn {
        let Some((holder, version)) = row else {
            return Turn::Take;
        };
        if holder == us {
            self.seen = None;
            return Turn::Ours;
        }
        match self.seen {
            Some((seen, since)) if seen == version => {
                if now.saturating_duration_since(since) < SILENCE_MAX {
                    return Turn::Wait;
                }
                self.seen = None;
                Turn::Take
            }
            _ => {
                self.seen = Some((version, now));
                Turn::Wait
            }
        }
    }

    /// There is nothing to tell: silence means nothing.
    pub(crate) fn idle(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_is_left_alone_until_it_is_silent_while_there_is_something_to_tell() {
        let row = |version| ("other", version);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        assert_eq!(watch.turn(None, "us", at(0)), Turn::Take);
        assert_eq!(watch.turn(Some(row(1)), "other", at(0)), Turn::Ours);
        assert_eq!(watch.turn(Some(row(1)), "us", at(0)), Turn::Wait);
        assert_eq!(watch.turn(Some(row(1)), "us", at(89)), Turn::Wait);
        assert_eq!(watch.turn(Some(row(2)), "us", at(90)), Turn::Wait);
        assert_eq!(watch.turn(Some(row(2)), "us", at(179)), Turn::Wait);
        watch.idle();
        assert_eq!(watch.turn(Some(row(2)), "us", at(500)), Turn::Wait);
        assert_eq!(watch.turn(Some(row(2)), "us", at(590)), Turn::Take);
    }
}
