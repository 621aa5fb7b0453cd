//! Whether a server is asked at all: one that answers with nothing but errors is left alone for a
//! while, by all. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// So many failures without a success between them open the breaker.
const FAILURES_MAX: u32 = 32;
/// How long the server is left alone at first; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A probe that takes longer, since it moves much or nobody answers, is joined by another.
const PROBE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everybody may ask; failures since the last success.
    Closed { failures: u32 },
    /// Nobody may, until then.
    Open { until: Instant, pause: Duration },
    /// One asks for all.
    Probing { pause: Duration, since: Instant },
}

/// Whether a request may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// As a probe for all: its end must be told, whatever it is.
    Probe,
    /// Not before then, unless something changes.
    WaitUntil(Instant),
}

/// How a request ended, as far as the breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server did its work, be it to refuse.
    Sound,
    /// An error of the server, or none at all.
    Failed,
    /// Nobody waited for it.
    Unknown,
}

/// The breaker of a server.
#[derive(Debug)]
pub(super) struct Breaker(State);

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed { failures: 0 })
    }
}

impl Breaker {
    pub(super) fn ask(&mut self, now: Instant) -> Verdict {
        match self.0 {
            State::Closed { .. } => Verdict::Go,
            State::Open { until, .. } if now < until => Verdict::WaitUntil(until),
            State::Probing { since, .. } if now < since + PROBE_MAX => {
                Verdict::WaitUntil(since + PROBE_MAX)
            }
            State::Open { pause, .. } | State::Probing { pause, .. } => {
                self.0 = State::Probing { pause, since: now };
                Verdict::Probe
            }
        }
    }

    /// For how long the server is left alone, if it is.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self.0 {
            State::Open { pause, .. } => Some(pause),
            State::Closed { .. } | State::Probing { .. } => None,
        }
    }

    /// Takes in the end of a request; whether those who wait should ask again.
    pub(super) fn ended(&mut self, now: Instant, was_probe: bool, answer: Answer) -> bool {
        let before = self.0;
        self.0 = match (answer, before) {
            (Answer::Sound, _) => State::Closed { failures: 0 },
            (Answer::Failed, State::Closed { failures }) if failures + 1 < FAILURES_MAX => {
                State::Closed {
                    failures: failures + 1,
                }
            }
            (Answer::Failed, State::Closed { .. }) => open(now, PAUSE_MIN),
            (Answer::Failed, State::Probing { pause, .. }) if was_probe => {
                open(now, (2 * pause).min(PAUSE_MAX))
            }
            // The next one who asks is the probe.
            (Answer::Unknown, State::Probing { pause, .. }) if was_probe => {
                State::Open { until: now, pause }
            }
            _ => before,
        };
        let is_closed = |state| matches!(state, State::Closed { .. });
        is_closed(before) != is_closed(self.0) || was_probe
    }
}

fn open(now: Instant, pause: Duration) -> State {
    State::Open {
        until: now + pause,
        pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A breaker that has just opened.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.ask(now), Verdict::Go);
            breaker.ended(now, false, Answer::Failed);
        }
        breaker
    }

    #[test]
    fn failures_with_a_success_between_them_open_nothing() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for round in 0..10 * FAILURES_MAX {
            let is_sound = round % FAILURES_MAX == FAILURES_MAX - 1;
            let answer = if is_sound {
                Answer::Sound
            } else {
                Answer::Failed
            };
            breaker.ended(now, false, answer);
            assert_eq!(breaker.ask(now), Verdict::Go);
        }
    }

    #[test]
    fn a_server_that_only_fails_is_probed_by_one_in_growing_intervals() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.ask(now), Verdict::WaitUntil(now + second(pause)));
            now += second(pause);
            assert_eq!(breaker.ask(now), Verdict::Probe);
            assert_eq!(breaker.ask(now), Verdict::WaitUntil(now + PROBE_MAX));
            assert!(breaker.ended(now, true, Answer::Failed));
        }
        now += second(30);
        assert_eq!(breaker.ask(now), Verdict::Probe);
        assert!(breaker.ended(now, true, Answer::Sound));
        assert_eq!(breaker.ask(now), Verdict::Go);
    }

    #[test]
    fn what_was_asked_before_changes_nothing_unless_it_is_served() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(!breaker.ended(now, false, Answer::Failed));
        assert_eq!(breaker.ask(now), Verdict::WaitUntil(now + second(1)));
        assert!(breaker.ended(now, false, Answer::Sound));
        assert_eq!(breaker.ask(now), Verdict::Go);
    }

    #[test]
    fn a_probe_that_is_given_up_makes_room_for_another() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + second(1);
        assert_eq!(breaker.ask(later), Verdict::Probe);
        assert!(breaker.ended(later, true, Answer::Unknown));
        assert_eq!(breaker.ask(later), Verdict::Probe);
    }
}
