//! Signs of life of the loops that a program lives by.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The last sign of life of each loop, and until when the next one is due.
#[derive(Debug, Default)]
pub struct Pulses(Mutex<BTreeMap<&'static str, Pulse>>);

#[derive(Debug)]
struct Pulse {
    at: Instant,
    within: Duration,
}

impl Pulses {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Pulse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop lives, and says so again `within` this time unless it ends.
    pub fn beat(&self, name: &'static str, within: Duration) {
        let at = Instant::now();
        self.lock().insert(name, Pulse { at, within });
    }

    /// The loop has come to its end: nothing is due any more.
    pub fn end(&self, name: &'static str) {
        self.lock().remove(name);
    }

    /// Whether every loop that has begun lives.
    ///
    /// # Errors
    /// One line for each that is stuck.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let now = Instant::now();
        let stuck: Vec<String> = self
            .lock()
            .iter()
            .map(|(name, pulse)| (name, now.saturating_duration_since(pulse.at), pulse.within))
            .filter(|(_, age, within)| age > within)
            .map(|(name, age, _)| format!("{name}: no sign of life for {} s", age.as_secs()))
            .collect();
        if stuck.is_empty() { Ok(()) } else { Err(stuck) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_stuck_when_its_sign_is_overdue_and_not_when_it_has_ended() {
        let (pulses, minute) = (Pulses::default(), Duration::from_secs(60));
        assert_eq!(pulses.check(), Ok(()));
        pulses.beat("one", minute);
        pulses.beat("two", 3 * minute);
        tokio::time::sleep(minute).await;
        assert_eq!(pulses.check(), Ok(()));
        tokio::time::sleep(minute).await;
        let stuck = vec!["one: no sign of life for 120 s".to_owned()];
        assert_eq!(pulses.check(), Err(stuck));
        pulses.beat("one", minute);
        assert_eq!(pulses.check(), Ok(()));
        pulses.end("one");
        pulses.end("two");
        tokio::time::sleep(9 * minute).await;
        assert_eq!(pulses.check(), Ok(()));
    }
}
