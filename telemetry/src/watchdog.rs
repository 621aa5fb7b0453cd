//! What a service manager's watchdog is told.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::pulses::Pulses;

/// Calls `alive` twice in the time that the watchdog gives, as long as every loop lives that the program
/// lives by: a program that is stuck is silent, so that it is started again.
pub async fn feed(pulses: &Pulses, allowed: Duration, mut alive: impl FnMut()) -> Infallible {
    let mut due = interval((allowed / 2).max(Duration::from_millis(1)));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = false;
    loop {
        due.tick().await;
        match pulses.check() {
            Ok(()) => {
                silent = false;
                alive();
            }
            Err(stuck) if !silent => {
                silent = true;
                let stuck = stuck.join("; ");
                tracing::error!(
                    stuck,
                    event = "watchdog.withheld",
                    "the program is stuck: its service manager is not told that it lives"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_program_that_is_stuck_is_silent_until_it_goes_on() {
        let (pulses, second) = (Pulses::default(), Duration::from_secs(1));
        let told = Cell::new(0);
        let during = async |time: Duration| {
            told.set(0);
            let fed = feed(&pulses, 10 * second, || told.set(told.get() + 1));
            assert!(tokio::time::timeout(time, fed).await.is_err());
            told.get()
        };
        // Nothing that it lives by has begun: at 0, 5, 10 s.
        assert_eq!(during(12 * second).await, 3);
        pulses.beat("loop", 7 * second);
        // Overdue at 10 s and later.
        assert_eq!(during(60 * second).await, 2);
        pulses.beat("loop", 60 * second);
        assert_eq!(during(12 * second).await, 3);
    }
}
