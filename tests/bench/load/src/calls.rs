//! Clients that each make the next call once the last one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Failed;
use crate::api::Api;

/// What the clients share.
struct Work {
    api: Api,
    operation: String,
    bodies: Vec<Bytes>,
    next: AtomicUsize,
    ends: Instant,
}

/// Calls per second, and milliseconds that a call took.
///
/// # Errors
/// The first call that was not answered with 200.
pub(crate) async fn run(
    api: Api,
    operation: String,
    bodies: Vec<String>,
    clients: usize,
    time: Duration,
) -> Result<Value, Failed> {
    if bodies.is_empty() || clients == 0 {
        return Err("no bodies or no clients".into());
    }
    let began = Instant::now();
    let work = Arc::new(Work {
        api,
        operation,
        bodies: bodies.into_iter().map(Bytes::from).collect(),
        next: AtomicUsize::new(0),
        ends: began + time,
    });
    let mut running = JoinSet::new();
    for _ in 0..clients {
        running.spawn(client(work.clone()));
    }
    let mut taken = Vec::new();
    while let Some(ended) = running.join_next().await {
        taken.extend(ended??);
    }
    let seconds = began.elapsed().as_secs_f64();
    taken.sort_unstable();
    Ok(json!({
        "operation": work.operation,
        "clients": clients,
        "calls": taken.len(),
        "per_second": taken.len() as f64 / seconds,
        "p50_ms": milliseconds(&taken, 50),
        "p99_ms": milliseconds(&taken, 99),
    }))
}

async fn client(work: Arc<Work>) -> Result<Vec<Duration>, Failed> {
    let mut connection = work.api.connect().await?;
    let mut taken = Vec::new();
    while Instant::now() < work.ends {
        let next = work.next.fetch_add(1, Ordering::Relaxed);
        let body = work.bodies[next % work.bodies.len()].clone();
        let began = Instant::now();
        connection.call(&work.operation, body).await?;
        taken.push(began.elapsed());
    }
    Ok(taken)
}

fn milliseconds(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted
        .get(place)
        .map_or(0.0, |taken| taken.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_of_many() {
        let taken: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(milliseconds(&taken, 50), 101.0);
        assert_eq!(milliseconds(&taken, 99), 199.0);
        assert_eq!(milliseconds(&taken[..1], 99), 1.0);
        assert_eq!(milliseconds(&[], 50), 0.0);
    }
}
