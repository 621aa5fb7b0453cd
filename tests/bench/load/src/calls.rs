//! Clients that each make the next call once the last one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Failed;
use crate::api::Api;

/// What is called.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) operation: String,
    /// Sent in turn.
    pub(crate) bodies: Vec<Bytes>,
    pub(crate) clients: usize,
    pub(crate) time: Duration,
    /// Whether each body is sent once at most.
    pub(crate) once: bool,
}

impl Calls {
    /// Calls per second, and milliseconds that a call took.
    ///
    /// # Errors
    /// The first call that was not answered with 200.
    pub(crate) async fn run(self, api: Api) -> Result<Value, Failed> {
        if self.bodies.is_empty() || self.clients == 0 {
            return Err("no bodies or no clients".into());
        }
        let began = Instant::now();
        let (calls, next) = (Arc::new(self), Arc::new(AtomicUsize::new(0)));
        let mut running = JoinSet::new();
        for _ in 0..calls.clients {
            let (calls, api, next) = (calls.clone(), api.clone(), next.clone());
            running.spawn(async move { calls.one_client(api, &next, began).await });
        }
        let mut taken = Vec::new();
        while let Some(ended) = running.join_next().await {
            taken.extend(ended??);
        }
        let seconds = began.elapsed().as_secs_f64();
        taken.sort_unstable();
        Ok(json!({
            "operation": calls.operation,
            "clients": calls.clients,
            "calls": taken.len(),
            "per_second": taken.len() as f64 / seconds,
            "p50_ms": milliseconds(&taken, 50),
            "p99_ms": milliseconds(&taken, 99),
        }))
    }

    async fn one_client(
        &self,
        api: Api,
        next: &AtomicUsize,
        began: Instant,
    ) -> Result<Vec<Duration>, Failed> {
        let mut connection = api.connect().await?;
        let mut taken = Vec::new();
        while began.elapsed() < self.time {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if self.once && number >= self.bodies.len() {
                break;
            }
            let body = self.bodies[number % self.bodies.len()].clone();
            let sent = Instant::now();
            connection.call(&self.operation, body).await?;
            taken.push(sent.elapsed());
        }
        Ok(taken)
    }
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
