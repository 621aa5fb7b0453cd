//! Many agents that do nothing but live.

use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Failed;
use crate::api::Api;
use crate::machine::Machine;

/// Agents that are activated at a time.
const AT_A_TIME: usize = 16;

/// Says `connected` once all are, then for each line on standard input, a pipe, how many heartbeats control
/// has answered so far, and since when. Ends with the input.
///
/// # Errors
/// The first agent that cannot be activated or whose session ends.
pub(crate) async fn run(
    api: Api,
    control: SocketAddr,
    trust: String,
    count: u32,
) -> Result<(), Failed> {
    let beats = Arc::new(AtomicU64::new(0));
    let mut sessions = JoinSet::new();
    let mut activating = JoinSet::new();
    // Closed once all have dropped their end.
    let (connected, mut all_connected) = mpsc::channel::<()>(1);
    let mut next = 0;
    while next < count || !activating.is_empty() {
        if next < count && activating.len() < AT_A_TIME {
            next += 1;
            let (api, trust) = (api.clone(), trust.clone());
            activating.spawn(async move { Machine::activated(&api, control, &trust, next).await });
        } else if let Some(machine) = activating.join_next().await {
            // Spread over the interval, as agents are that were started at different times.
            let offset = sessions.len() as f64 / f64::from(count);
            sessions.spawn(machine??.live(offset, beats.clone(), connected.clone()));
        }
    }
    drop(connected);
    tokio::select! {
        _ = all_connected.recv() => {}
        Some(ended) = sessions.join_next() => ended??,
    }
    let began = Instant::now();
    println!("{}", json!({"connected": count}));
    let asked = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(asked)?).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                if line?.is_none() {
                    return Ok(());
                }
                let seconds = began.elapsed().as_secs_f64();
                println!("{}", json!({"heartbeats": beats.load(Ordering::Relaxed), "seconds": seconds}));
            }
            Some(ended) = sessions.join_next() => ended??,
        }
    }
}
