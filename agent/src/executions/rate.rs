//! The bandwidth limit of a running execution: that of its order, or of its timetable.

use std::future;
use std::time::Duration;

use datasync_model::{BytesPerSecond, ExecutionSpec, Rate};
use jiff::Timestamp;
use tokio::sync::watch;

/// A timetable is looked at this often: wall time jumps, so no timer runs to its changes alone.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps `limit` at what the order in force says, for ever. Without control the last one stays.
pub(crate) async fn follow(
    spec: &ExecutionSpec,
    mut order: watch::Receiver<Rate>,
    limit: watch::Sender<BytesPerSecond>,
    now: impl Fn() -> Timestamp,
) {
    let mut told = None;
    let mut has_control = true;
    loop {
        let rate = *order.borrow_and_update();
        let looked_at = now();
        let (present, until) = rate.limit_at(spec, looked_at);
        limit.send_if_modified(|limit| std::mem::replace(limit, present) != present);
        let news = (rate, present);
        if spec.extensions.bandwidth_timetable.is_some() && told.replace(news) != Some(news) {
            tracing::info!(
                task_execution_id = spec.execution.id(),
                bytes_per_second = i64::from(present),
                by_timetable = rate == Rate::Timetable,
                until = until.map(tracing::field::display),
                event = "execution.limited",
                "the bandwidth limit of the execution"
            );
        }
        tokio::select! {
            changed = order.changed(), if has_control => has_control = changed.is_ok(),
            () = pause(rate, until, looked_at) => {}
        }
    }
}

/// Until the timetable is to be looked at again.
async fn pause(rate: Rate, until: Option<Timestamp>, now: Timestamp) {
    if rate != Rate::Timetable {
        return future::pending().await;
    }
    let left = until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
    tokio::time::sleep(left.map_or(LOOK, |left| left.min(LOOK))).await;
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tokio::time::Instant;

    use super::*;
    use crate::executions::tests;

    const REST: i64 = 7;

    fn spec(timetable: &str) -> ExecutionSpec {
        let mut spec = tests::spec(1);
        spec.options.bytes_per_second = REST.try_into().unwrap();
        spec.extensions.bandwidth_timetable = Some(timetable.parse().unwrap());
        spec
    }

    fn changes(limit: &mut watch::Receiver<BytesPerSecond>) -> Option<i64> {
        let changed = limit.has_changed().unwrap();
        changed.then(|| i64::from(*limit.borrow_and_update()))
    }

    /// Runs `follow` in virtual time beside `test`, whose clock begins at `start`.
    async fn beside<T>(
        spec: &ExecutionSpec,
        order: &watch::Sender<Rate>,
        now: impl Fn() -> Timestamp,
        test: impl AsyncFnOnce(watch::Receiver<BytesPerSecond>) -> T,
    ) -> T {
        let (sender, limit) = watch::channel(BytesPerSecond::UNLIMITED);
        tokio::select! {
            biased;
            () = follow(spec, order.subscribe(), sender, now) => unreachable!("it has no end"),
            result = test(limit) => result,
        }
    }

    async fn seconds(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    async fn a_moment() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn clock(start: &str) -> impl Fn() -> Timestamp {
        let start: Timestamp = start.parse().unwrap();
        let begun = Instant::now();
        move || start + SignedDuration::try_from(begun.elapsed()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_timetable_rules_until_control_gives_a_limit() {
        let spec = spec("Europe/Berlin Thu 08:00-18:00 5 / Thu 18:00-18:01 6");
        let order = watch::Sender::new(Rate::of(&spec));
        let now = clock("2026-11-26T16:58:59.7Z");
        beside(&spec, &order, now, async |mut limit| {
            a_moment().await;
            assert_eq!(changes(&mut limit), Some(5));
            seconds(60).await;
            assert_eq!(changes(&mut limit), None);
            tokio::time::sleep(Duration::from_millis(400)).await;
            assert_eq!(
                changes(&mut limit),
                Some(6),
                "at the change, not a second later"
            );
            seconds(60).await;
            assert_eq!(changes(&mut limit), Some(REST));
            order.send_replace(Rate::Fixed(9.try_into().unwrap()));
            a_moment().await;
            assert_eq!(changes(&mut limit), Some(9));
            seconds(8 * 24 * 3600).await;
            assert_eq!(changes(&mut limit), None, "until the execution ends");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_counts_within_two_seconds() {
        let spec = spec("UTC Thu 08:00-18:00 5");
        let order = watch::Sender::new(Rate::of(&spec));
        let wall = std::cell::Cell::new("2026-11-26T03:00:00Z".parse::<Timestamp>().unwrap());
        beside(
            &spec,
            &order,
            || wall.get(),
            async |mut limit| {
                seconds(10).await;
                assert_eq!(changes(&mut limit), Some(REST));
                for (time, expected) in [("17:59:00", 5), ("02:00:00", REST)] {
                    wall.set(format!("2026-11-26T{time}Z").parse().unwrap());
                    seconds(2).await;
                    assert_eq!(changes(&mut limit), Some(expected));
                }
            },
        )
        .await;
    }
}
